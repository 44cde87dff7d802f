use proptest::prelude::*;

use super::*;

const SMALL: &str = r#"
title = "Small"
lesson = "nothing much"
about = "There are {{ ports | length }} backends, and {{ rate }} requests a second."
question = "How many fail?"
choices = ["none", "all"]
answer = 1
explanation = "{{ calm.failed }} failed."

[vary]
rate = [80, 100]

[setups]
main = """
[balancer]
retries = 3
{{ server }}
"""

[[steps]]
setup = "main"

[[steps]]
say = "Now a load."
load = "calm"
rps = "{{ rate }}"
for = "2s"
send = ["GET /", "POST /login X-User:a -- name={{ rate }}"]
at = ["1s kill {{ ports[0] }}"]
windows = ["before 0s 1s"]

[[checks]]
that = "none failed"
holds = "calm.failed == 0"
shows = "{{ calm.failed }} failed"
"#;

fn check(change: (&str, &str)) -> String {
    assert!(SMALL.contains(change.0), "{change:?}");
    match read_lab("small", "small.toml", &SMALL.replace(change.0, change.1)) {
        Ok(_) => "fine\n".to_owned(),
        Err(reports) => reports.iter().map(|report| format!("{report}\n")).collect(),
    }
}

#[test]
fn a_small_one() {
    let lab = read_lab("small", "small.toml", SMALL).unwrap();
    assert_eq!((lab.answer, lab.steps.len(), lab.checks.len()), (0, 2, 1));
    let What::Load(load) = &lab.steps[1].what else {
        panic!("no load");
    };
    assert_eq!(load.at[0].1.source(), "kill {{ ports[0] }}");
    assert_eq!(load.lasts, Duration::from_secs(2));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let text: String = [
        ("title = \"Small\"", "titel = \"Small\""),
        ("answer = 1", "answer = 3"),
        ("[\"none\", \"all\"]", "[\"none\"]"),
        ("{{ calm.failed }} failed.", "{{ clam.failed }} failed."),
        ("{{ rate }} requests", "{{ rate requests"),
        ("calm.failed == 0", "calm.failed = 0"),
        ("setup = \"main\"", "setup = \"mian\""),
        ("setup = \"main\"", "setup = \"main\"\nrun = \"kill 1\""),
        ("for = \"2s\"", "fro = \"2s\""),
        ("rps = \"{{ rate }}\"", ""),
        ("\"GET /\"", "\"GET\""),
        ("before 0s 1s", "before 1s"),
        ("1s kill", "kill"),
        ("[80, 100]", "[]"),
        ("load = \"calm\"", "load = \"rate\""),
        ("that = \"none failed\"", ""),
        (
            "answer = 1",
            "answer = 1\nbroken = [\"retries = 4 => retries = 0\"]",
        ),
        ("lesson = \"nothing much\"", "lesson = "),
    ]
    .into_iter()
    .map(check)
    .collect();
    insta::assert_snapshot!(text, @r#"
    error[LB051]: small.toml:1:1: `title` is missing in the file
      1 | 
        | ^
    error[LB051]: small.toml:2:1: unknown key `titel` in the file
      2 | titel = "Small"
        | ^^^^^
      hint: did you mean `title`?
    error[LB051]: small.toml:7:10: `answer` is 3, and there are 2 choices
      7 | answer = 3
        |          ^
    error[LB051]: small.toml:6:11: `choices` are two or more, else there is nothing to predict
      6 | choices = ["none"]
        |           ^^^^^^^^
    error[LB051]: small.toml:8:15: nothing is called `clam` here
      8 | explanation = "{{ clam.failed }} failed."
        |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: did you mean `calm`?
    error[LB051]: small.toml:4:9: the text cannot be filled in: unexpected identifier, expected end of variable block
      4 | about = "There are {{ ports | length }} backends, and {{ rate requests a second."
        |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    error[LB051]: small.toml:34:9: that is no expression: unexpected input after expression
      34 | holds = "calm.failed = 0"
         |         ^^^^^^^^^^^^^^^^^
    error[LB051]: small.toml:21:9: there is no set-up `mian`
      21 | setup = "mian"
         |         ^^^^^^
      hint: did you mean `main`?
    error[LB051]: small.toml:20:1: a step does one thing: `setup`, `run`, `load`, `ask` or `wait`
      20 | [[steps]]
         | ^^^^^^^^^
    error[LB051]: small.toml:23:1: `for` is missing in [[steps]]
      23 | [[steps]]
         | ^^^^^^^^^
    error[LB051]: small.toml:27:1: unknown key `fro` in [[steps]]
      27 | fro = "2s"
         | ^^^
      hint: did you mean `for`?
    error[LB051]: small.toml:23:1: a load has `rps`, or `connections` for a closed loop
      23 | [[steps]]
         | ^^^^^^^^^
      hint: write for example `rps = 100`
    error[LB051]: small.toml:28:9: `send`: `GET` is not a request such as `GET /`, or `POST /login X-User:alice -- name=alice`
      28 | send = ["GET", "POST /login X-User:a -- name={{ rate }}"]
         |         ^^^^^
    error[LB051]: small.toml:30:12: `windows`: `before 1s` is not a name and two times, such as `before 0s 3s`
      30 | windows = ["before 1s"]
         |            ^^^^^^^^^^^
    error[LB051]: small.toml:29:7: `at`: `kill` is not a duration; write for example `200ms`, `5s` or `1m`
      29 | at = ["kill {{ ports[0] }}"]
         |       ^^^^^^^^^^^^^^^^^^^^^
    error[LB051]: small.toml:11:8: `rate` must be a list of numbers or of texts
      11 | rate = []
         |        ^^
    error[LB051]: small.toml:8:15: nothing is called `calm` here
      8 | explanation = "{{ calm.failed }} failed."
        |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: known are `rate`
    error[LB051]: small.toml:25:8: something is called `rate` already
      25 | load = "rate"
         |        ^^^^^^
    error[LB051]: small.toml:34:9: nothing is called `calm` here
      34 | holds = "calm.failed == 0"
         |         ^^^^^^^^^^^^^^^^^^
      hint: known are `rate`
    error[LB051]: small.toml:35:9: nothing is called `calm` here
      35 | shows = "{{ calm.failed }} failed"
         |         ^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: known are `rate`
    error[LB051]: small.toml:32:1: `that` is missing in [[checks]]
      32 | [[checks]]
         | ^^^^^^^^^^
    error[LB051]: small.toml:8:11: `retries = 4` is in no set-up and no verb
      8 | broken = ["retries = 4 => retries = 0"]
        |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    error[LB051]: small.toml:3:10: there is no value after the `=`
      3 | lesson = 
        |          ^
    "#);
}

proptest! {
    /// Whatever is in a file, it is read or refused; and where it is refused, there is a reason.
    #[test]
    fn any_change_is_read_or_refused(
        from in 0..SMALL.len(),
        length in 0usize..40,
        text in "[ -~\\n\"{}\\[\\]=]{0,12}",
    ) {
        let mut changed = SMALL.as_bytes().to_vec();
        let to = (from + length).min(changed.len());
        changed.splice(from..to, text.bytes());
        let changed = String::from_utf8_lossy(&changed);
        match read_lab("small", "small.toml", &changed) {
            Ok(lab) => drop(lab.broken()),
            Err(reports) => prop_assert!(!reports.is_empty()),
        }
    }
}

#[test]
fn nothing_at_all() {
    let reports = read_lab("empty", "empty.toml", "").unwrap_err();
    let text: String = reports.iter().map(|report| format!("{report}\n")).collect();
    insta::assert_snapshot!(text, @"
    error[LB051]: empty.toml:1:1: `title` is missing in the file
      1 | 
        | ^
    error[LB051]: empty.toml:1:1: `lesson` is missing in the file
      1 | 
        | ^
    error[LB051]: empty.toml:1:1: `about` is missing in the file
      1 | 
        | ^
    error[LB051]: empty.toml:1:1: `question` is missing in the file
      1 | 
        | ^
    error[LB051]: empty.toml:1:1: `choices` is missing in the file
      1 | 
        | ^
    error[LB051]: empty.toml:1:1: `answer` is missing in the file
      1 | 
        | ^
    error[LB051]: empty.toml:1:1: `explanation` is missing in the file
      1 | 
        | ^
    error[LB051]: empty.toml:1:1: `setups` is missing in the file
      1 | 
        | ^
    error[LB051]: empty.toml:1:1: `steps` is missing in the file
      1 | 
        | ^
    error[LB051]: empty.toml:1:1: `checks` is missing in the file
      1 | 
        | ^
    ");
}

#[test]
fn broken_is_another_one() {
    let text = SMALL.replace(
        "answer = 1",
        "answer = 1\nbroken = [\"retries = 3 => retries = 0\", \"kill => stop\"]",
    );
    let lab = read_lab("small", "small.toml", &text).unwrap().broken();
    assert!(lab.setups[0].1.source().contains("retries = 0"));
    let What::Load(load) = &lab.steps[1].what else {
        panic!("no load");
    };
    assert_eq!(load.at[0].1.source(), "stop {{ ports[0] }}");
}

#[test]
fn requests() {
    let read = |text: &str| RequestParts::read(text);
    let parts = read("POST /login X-User:alice -- name=alice bob").unwrap();
    assert_eq!(
        (parts.method.as_str(), parts.path.as_str()),
        ("POST", "/login")
    );
    assert_eq!(parts.fields, [("X-User".to_owned(), "alice".to_owned())]);
    assert_eq!(parts.body, "name=alice bob");
    for wrong in ["", "GET", "get /", "GET x", "GET / nonsense"] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
}
