<?php
// Sessions are files that every copy reads: a visitor is known wherever the next request goes.
session_start();
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
?>
<!doctype html>
<title>PHP</title>
<h1>Using port <?= getenv('PORT') ?></h1>
<p>Your visits: <?= $_SESSION['visits'] ?></p>
