use super::*;
use proptest::prelude::*;

const SCENE: Scene<'static> = Scene {
    port: Some(8001),
    index: 2,
    python: Some("/my envs/bin/python"),
    lbdev: "/bin/lbdev",
};

fn vars(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/a b".into()),
        "ARGS" => Some("-w 4".into()),
        _ => None,
    }
}

fn words_of(text: &str) -> Vec<String> {
    match split(text) {
        Ok(Line::Words { words, .. }) => expand(&words, &SCENE, &mut vars).unwrap(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn words() {
    #[track_caller]
    fn check(text: &str, wanted: &[&str]) {
        assert_eq!(words_of(text), wanted, "{text}");
    }
    check("a  b\tc", &["a", "b", "c"]);
    check("a 'b c' \"d e\" f\\ g", &["a", "b c", "d e", "f g"]);
    check("a '' \"\"", &["a", "", ""]);
    check("{python} x {port}", &["/my envs/bin/python", "x", "8001"]);
    check("a 127.0.0.1:{port} {index}", &["a", "127.0.0.1:8001", "2"]);
    check(
        "a $HOME \"$HOME\" ${HOME}",
        &["a", "/home/a", "b", "/home/a b", "/home/a", "b"],
    );
    check("a '$HOME' \\$HOME", &["a", "$HOME", "$HOME"]);
    check("a $NONE b \"$NONE\"", &["a", "b", ""]);
    check("a $ARGS x", &["a", "-w", "4", "x"]);
    check("a --x=$ARGS", &["a", "--x=-w", "4"]);
    check(
        "a {{port}} '{\"a\":{\"b\":1}}'",
        &["a", "{port}", "{\"a\":{\"b\":1}}"],
    );
    check("a 5$ x$", &["a", "5$", "x$"]);
    check("a # b", &["a"]);
    check("A=1 B='x y' run", &["run"]);
    check("run A=1", &["run", "A=1"]);
}

#[test]
fn needs_a_shell() {
    #[track_caller]
    fn check(text: &str, wanted: bool) {
        assert_eq!(matches!(split(text), Ok(Line::Shell(_))), wanted, "{text}");
    }
    for text in [
        "a | b",
        "a && b",
        "a; b",
        "a > f",
        "(a)",
        "a `b`",
        "a \"`b`\"",
        "a $(b)",
        "a ${B:-c}",
        "cd x",
        "exec a",
        "~/a",
        "a\nb",
        "a $1",
    ] {
        check(text, true);
    }
    for text in ["a '|' \"&&\" \\;", "a '$(b)'", "a b~", "a=b c", "\"cd x\""] {
        check(text, false);
    }
}

#[test]
fn shell_texts_are_filled() {
    let fill = |text| SCENE.fill_shell(text).unwrap();
    assert_eq!(
        fill("{python} a && b {port} ${port}"),
        "'/my envs/bin/python' a && b 8001 ${port}"
    );
}

#[test]
fn errors() {
    assert_eq!(split("a 'b"), Err(SplitError::Unclosed { quote: '\'' }));
    assert_eq!(split("a \"b"), Err(SplitError::Unclosed { quote: '"' }));
    assert_eq!(split("a \\"), Err(SplitError::Backslash));
    let unknown = |name: &str, like| FillError::Unknown {
        name: name.into(),
        like,
    };
    assert_eq!(SCENE.fill("{prot}"), Err(unknown("prot", Some("port"))));
    assert_eq!(SCENE.fill("{x}"), Err(unknown("x", None)));
    let none = Scene {
        port: None,
        python: None,
        ..SCENE
    };
    assert_eq!(none.fill("{port}"), Err(FillError::NoPort));
    assert_eq!(none.fill("{python}"), Err(FillError::NoPython));
}

proptest! {
    /// Without variables, comments and what needs a shell, words are what `shlex` says.
    #[test]
    fn splits_as_shlex_does(text in "[a-c \\\\'\"=]{0,20}") {
        if let (Ok(Line::Words { assigns, words }), Some(theirs)) = (split(&text), shlex::split(text.trim())) {
            let ours = expand(&words, &SCENE, &mut vars).unwrap();
            prop_assert_eq!(&ours[..], &theirs[assigns.len()..]);
        }
    }

    #[test]
    fn no_text_panics(text in ".*|[a{}$'\" \\\\=]*") {
        if let Ok(Line::Words { words, .. }) = split(&text) {
            let _ = expand(&words, &SCENE, &mut vars);
        }
        let _ = SCENE.fill_shell(&text);
    }

    #[test]
    fn escaped_texts_stay(text in ".*|[a{}$]*") {
        prop_assert_eq!(SCENE.fill(&escape(&text)), Ok(text));
    }
}
