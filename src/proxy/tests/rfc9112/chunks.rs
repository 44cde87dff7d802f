//! §7: chunked bodies.

use super::*;

fn chunked(body: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", body)
}

#[tokio::test]
async fn s7_1_a_size_is_hexadecimal_digits_and_nothing_else() {
    let sizes = [
        "",
        " 5",
        "5 ",
        "5\t",
        "\t5",
        "+5",
        "-5",
        "-0",
        "0x5",
        "5_0",
        "1_0",
        "5h",
        "Z",
        "5.0",
        "5,5",
        "\"5\"",
        "FFFFFFFFFFFFFFFF0",
        "10000000000000005",
        "5\0",
        "\u{665}",
    ];
    let requests = sizes.map(|size| chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n")));
    refused(By::Body, &[400], requests).await;
}

#[tokio::test]
async fn s7_1_the_last_chunk_is_as_strict() {
    let ends = ["+0", "-0", "0 ", " 0", "0x0", "0;", "0_"];
    let requests = ends.map(|end| chunked(&format!("5\r\nhello\r\n{end}\r\n\r\n")));
    refused(By::Body, &[400], requests).await;
}

#[tokio::test]
async fn s7_1_a_chunk_ends_where_it_says() {
    let bodies = [
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!!\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n",
        "5\r\nhello \r\n0\r\n\r\n",
    ];
    refused(By::Body, &[400], bodies.map(chunked)).await;
}

#[tokio::test]
async fn s7_1_lines_of_chunks_end_in_cr_lf() {
    let bodies = [
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5;a=b\nhello\r\n0\r\n\r\n",
        "5;a\rX\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nX: 1\n\r\n",
        "5\r\nhello\r\n0\r\nX: 1\rY: 2\r\n\r\n",
    ];
    refused(By::Body, &[400], bodies.map(chunked)).await;
}

#[tokio::test]
async fn s7_1_1_an_extension_is_a_token_and_maybe_a_value() {
    let extensions = [
        ";",
        ";;",
        "; ",
        ";=",
        ";=b",
        ";a=",
        ";a=b;",
        ";bad[=x",
        ";a b",
        ";a=b c",
        ";\0ext",
        ";a=\0",
        ";a=\"b",
        ";a=b\"c",
        " ;a\0",
        ";a=\"b\u{7}\"",
        ";caf\u{e9}",
    ];
    let requests =
        extensions.map(|extension| chunked(&format!("5{extension}\r\nhello\r\n0\r\n\r\n")));
    refused(By::Body, &[400], requests).await;
}

#[tokio::test]
async fn s7_1_1_a_good_extension_is_read_over() {
    let extensions = [
        ";a",
        ";a=b",
        ";a=b;c=d",
        ";a=\"b c\"",
        ";a=\"b\\\"c;d\"",
        ";a=\"\"",
    ];
    let requests = extensions
        .map(|extension| chunked(&format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n")));
    for taken in served(requests).await {
        assert_eq!(taken.body, b"hello");
    }
}

#[tokio::test]
async fn s7_1_1_extensions_are_not_endless() {
    let long = "a".repeat(65_536);
    let each = "1;a=b\r\nx\r\n";
    let requests = [
        chunked(&format!("5;a={long}\r\nhello\r\n0\r\n\r\n")),
        // Many short ones come to as much.
        chunked(&format!(
            "{}0\r\n\r\n",
            each.replace("a=b", &"c".repeat(4000)).repeat(40)
        )),
    ];
    refused(By::Body, &[400, 413, 431], requests).await;
}

#[tokio::test]
async fn s7_1_good_chunks_whatever_their_spelling() {
    let bodies = [
        "a\r\nhelloworld\r\n0\r\n\r\n",
        "A\r\nhelloworld\r\n0\r\n\r\n",
        "0a\r\nhelloworld\r\n0\r\n\r\n",
        "0000000A\r\nhelloworld\r\n000\r\n\r\n",
        "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n",
        "1\r\nh\r\n9\r\nelloworld\r\n0\r\n\r\n",
    ];
    for taken in served(bodies.map(chunked)).await {
        assert_eq!(taken.body, b"helloworld");
    }
    assert_eq!(served([chunked("0\r\n\r\n")]).await[0].body, b"");
}

#[tokio::test]
async fn s7_1_2_trailers_pass() {
    let taken = served([post(
        "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n",
        "5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n",
    )])
    .await;
    let lines: Vec<_> = taken[0]
        .trailers
        .iter()
        .map(|line| line.to_ascii_lowercase())
        .collect();
    assert_eq!(lines, ["x-sum: 7"]);
}

#[tokio::test]
async fn s7_1_2_a_trailer_is_a_field() {
    let trailers = [
        "X : 1",
        ": 1",
        "NoColon",
        "Bad Name: 1",
        "X: 1\r\n 2",
        "X: a\0b",
        " X: 1",
    ];
    let requests =
        trailers.map(|trailer| chunked(&format!("5\r\nhello\r\n0\r\n{trailer}\r\n\r\n")));
    refused(By::Body, &[400], requests).await;
}
