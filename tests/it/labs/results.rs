//! Result files, and `lab grade`.

use serde_json::Value;

use crate::harness::Lbdev;

fn student(lbdev: &Lbdev, name: &str) -> std::path::PathBuf {
    lbdev
        .run(&["lab", "post-twice", "--auto", "--student", name])
        .ok();
    lbdev.dir.join(format!("lab-post-twice-{name}.json"))
}

fn change(file: &std::path::Path, to: &std::path::Path, change: impl Fn(&mut Value)) {
    let mut value: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(to, serde_json::to_string_pretty(&value).unwrap()).unwrap();
}

fn flags(grades: &Value, student: &str) -> String {
    let rows = grades["grades"].as_array().unwrap();
    let row = rows.iter().find(|row| row["student"] == student);
    let row = row.unwrap_or_else(|| panic!("no {student}: {grades}"));
    let flags = row["flags"].as_array().unwrap().iter();
    let flags: Vec<&str> = flags.map(|flag| flag.as_str().unwrap()).collect();
    format!("{}: {}", row["result"].as_str().unwrap(), flags.join("; "))
}

#[test]
fn a_class_is_graded() {
    let lbdev = Lbdev::new();
    let anna = student(&lbdev, "anna");
    let ben = student(&lbdev, "ben");
    student(&lbdev, "chris");
    let dir = &lbdev.dir;
    // Dana has taken Anna's file and written her own name into it.
    change(&anna, &dir.join("lab-post-twice-dana.json"), |record| {
        record["student"] = "dana".into()
    });
    // Emil has made his result better by hand.
    change(&ben, &dir.join("lab-post-twice-emil.json"), |record| {
        record["student"] = "emil".into();
        record["run"] = "another".into();
        record["checks"][0]["shows"] = "all is well".into();
    });
    lbdev.write("lab-post-twice-broken.json", "{\"version\": 1");
    lbdev.write(
        "class.csv",
        "name,student\n\"Ng, Anna\",anna\nB,ben\nD,dana\nE,emil\nF,fritz\n",
    );
    let grade = ["lab", "grade", "lab-*.json", "--roster", "class.csv"];
    let out = lbdev.run(&[&grade[..], &["--json"]].concat());
    assert_eq!(out.code, Some(1));
    let grades = out.json();
    assert_eq!(flags(&grades, "ben"), "passed: ");
    assert_eq!(flags(&grades, "chris"), "look: not on the roster");
    assert_eq!(flags(&grades, "fritz"), "missing: missing");
    assert!(
        flags(&grades, "anna").contains("copied: the same run as dana's"),
        "{grades}"
    );
    assert!(
        flags(&grades, "dana").contains("copied: the same run as anna's"),
        "{grades}"
    );
    assert!(
        flags(&grades, "dana").contains("edited by hand"),
        "{grades}"
    );
    assert!(
        flags(&grades, "emil").contains("edited by hand"),
        "{grades}"
    );
    assert!(
        flags(&grades, "").starts_with("look: unreadable"),
        "{grades}"
    );
    let csv = lbdev.run(&[&grade[..], &["--csv"]].concat());
    let rows: Vec<&str> = csv.stdout.lines().collect();
    assert_eq!(
        rows[0],
        "student,lab,result,checks_held,checks,prediction,seconds,file,notes"
    );
    assert_eq!(rows.len(), 8, "{rows:?}");
    lbdev
        .run(&grade)
        .says("✓ passed")
        .says("✗ missing")
        .says("1 of 7 results passed");
    // Names that differ draw other numbers: at least one of these four is another's.
    let drawn = |name: &str| -> Value {
        let text = std::fs::read_to_string(dir.join(format!("lab-post-twice-{name}.json")));
        serde_json::from_str::<Value>(&text.unwrap()).unwrap()["varied"].clone()
    };
    for name in ["dora", "emma", "finn", "gina"] {
        student(&lbdev, name);
    }
    let all = ["anna", "ben", "chris", "dora", "emma", "finn", "gina"]
        .map(|name| drawn(name).to_string());
    assert!(all.iter().any(|one| *one != all[0]), "{all:?}");
}

#[test]
fn another_students_numbers_are_seen() {
    let lbdev = Lbdev::new();
    let file = student(&lbdev, "anna");
    change(&file, &file, |record| {
        record["varied"]["order"] = "zz".into()
    });
    let out = lbdev.run(&["lab", "grade", "lab-post-twice-anna.json", "--json"]);
    assert!(flags(&out.json(), "anna").contains("wrong seed"), "{out:?}");
}

#[test]
fn what_cannot_be_graded() {
    let lbdev = Lbdev::new();
    lbdev.run(&["lab", "grade"]).fails(2, "LB021");
    lbdev
        .run(&["lab", "grade", "nothing-*.json"])
        .fails(1, "LB007");
    let file = student(&lbdev, "anna");
    let file = file.to_str().unwrap();
    lbdev
        .run(&["lab", "grade", file])
        .ok()
        .says("1 of 1 result passed");
    lbdev
        .run(&["lab", "grade", file, "--roster", "no.csv"])
        .fails(2, "LB021");
    lbdev.write("empty.csv", "");
    lbdev
        .run(&["lab", "grade", file, "--roster", "empty.csv"])
        .fails(2, "LB021");
    // A name that would leave the folder does not.
    lbdev
        .run(&["lab", "post-twice", "--auto", "--student", "../../x"])
        .ok();
    assert!(lbdev.dir.join("lab-post-twice-_.._x.json").is_file());
}
