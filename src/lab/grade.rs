//! Reads many result files, and says what each is worth and what is strange about it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::library::Library;
use super::record::{Record, RecordState, varied};

/// What is strange about a result.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// There is no result of this student for this lab.
    Missing,
    /// The student is not on the roster.
    Unknown,
    /// The same run is another student's, too.
    Copied {
        /// Whose.
        of: String,
    },
    /// It never came to its end.
    Interrupted,
    /// Its numbers are not those of this student's name.
    WrongSeed,
    /// It was changed after it was written.
    Edited,
    /// Another file is of the same student and lab, and better.
    Superseded,
    /// The file cannot be read.
    Unreadable {
        /// Why.
        why: String,
    },
    /// Its lab is not known here, so that its numbers cannot be drawn again.
    UnknownLab,
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flag::Missing => f.write_str("missing"),
            Flag::Unknown => f.write_str("not on the roster"),
            Flag::Copied { of } => write!(f, "copied: the same run as {of}'s"),
            Flag::Interrupted => f.write_str("interrupted"),
            Flag::WrongSeed => f.write_str("wrong seed: another student's numbers"),
            Flag::Edited => f.write_str("edited by hand"),
            Flag::Superseded => f.write_str("another file of the same student is better"),
            Flag::Unreadable { why } => write!(f, "unreadable: {why}"),
            Flag::UnknownLab => f.write_str("the lab is not known here"),
        }
    }
}

/// One row: a student and a lab.
#[derive(Debug, Clone, PartialEq)]
pub struct Grade {
    /// Who; empty where the file does not say.
    pub student: String,
    /// Which lab.
    pub lab: String,
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// Checks that held, and all.
    pub held: (usize, usize),
    /// Whether the prediction was right, where there was one.
    pub predicted_right: Option<bool>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What is strange.
    pub flags: Vec<Flag>,
}

impl Grade {
    /// Everything held, and nothing is strange that would matter.
    pub fn passed(&self) -> bool {
        let counts = |flag: &Flag| !matches!(flag, Flag::Superseded | Flag::UnknownLab);
        self.file.is_some()
            && self.held.0 == self.held.1
            && self.held.1 > 0
            && !self.flags.iter().any(counts)
    }
}

/// The names of a roster: the column `student` (or `id`), else the first. With a line for each that cannot be read.
///
/// # Errors
/// Why it is no roster, in words.
pub fn names_of_roster(file: &Path) -> Result<Vec<String>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_path(file)
        .map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for row in reader.records() {
        rows.push(row.map_err(|error| error.to_string())?);
    }
    let is_head = |cell: &str| {
        let cell = cell.trim_start_matches('\u{feff}').to_ascii_lowercase();
        matches!(
            cell.as_str(),
            "student" | "id" | "student id" | "student_id"
        )
    };
    let head = rows.first().and_then(|row| row.iter().position(is_head));
    let skipped = usize::from(head.is_some());
    let names = rows.iter().skip(skipped).filter_map(|row| {
        let name = row.get(head.unwrap_or(0))?.trim_start_matches('\u{feff}');
        (!name.is_empty()).then(|| name.to_owned())
    });
    let names: Vec<String> = names.collect();
    match names.is_empty() {
        true => Err("it names nobody".to_owned()),
        false => Ok(names),
    }
}

/// A row for each file, and for each student of the roster and each lab without one.
pub fn grade(files: &[PathBuf], roster: Option<&[String]>, library: &Library) -> Vec<Grade> {
    let read = files.iter().map(|file| (file, Record::read(file)));
    let read: Vec<(&PathBuf, Result<Record, String>)> = read.collect();
    let mut students_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for record in read.iter().filter_map(|(_, record)| record.as_ref().ok()) {
        let students = students_of.entry(&record.run).or_default();
        students.insert(&record.student);
    }
    let mut grades: Vec<Grade> = Vec::new();
    for (file, record) in &read {
        grades.push(match record {
            Ok(record) => of(record, file, roster, library, &students_of),
            Err(why) => Grade {
                student: String::new(),
                lab: String::new(),
                file: Some((*file).clone()),
                held: (0, 0),
                predicted_right: None,
                seconds: 0.0,
                flags: vec![Flag::Unreadable { why: why.clone() }],
            },
        });
    }
    supersede(&mut grades);
    if let Some(roster) = roster {
        let labs: BTreeSet<String> = grades
            .iter()
            .map(|grade| grade.lab.clone())
            .filter(|lab| !lab.is_empty())
            .collect();
        for lab in &labs {
            for student in roster {
                let is = |grade: &Grade| grade.lab == *lab && grade.student == *student;
                if !grades.iter().any(is) {
                    grades.push(missing(student, lab));
                }
            }
        }
    }
    grades.sort_by(|a, b| (&a.lab, &a.student, &a.file).cmp(&(&b.lab, &b.student, &b.file)));
    grades
}

fn missing(student: &str, lab: &str) -> Grade {
    Grade {
        student: student.to_owned(),
        lab: lab.to_owned(),
        file: None,
        held: (0, 0),
        predicted_right: None,
        seconds: 0.0,
        flags: vec![Flag::Missing],
    }
}

fn of(
    record: &Record,
    file: &Path,
    roster: Option<&[String]>,
    library: &Library,
    students_of: &BTreeMap<&str, BTreeSet<&str>>,
) -> Grade {
    let mut flags = Vec::new();
    if roster.is_some_and(|roster| !roster.contains(&record.student)) {
        flags.push(Flag::Unknown);
    }
    let others = students_of.get(record.run.as_str()).into_iter().flatten();
    let others: Vec<&str> = others
        .copied()
        .filter(|name| *name != record.student)
        .collect();
    if !others.is_empty() {
        flags.push(Flag::Copied {
            of: others.join(", "),
        });
    }
    if record.state == RecordState::Interrupted {
        flags.push(Flag::Interrupted);
    }
    match library.read(&record.lab) {
        Ok(lab) => {
            let own = varied(&super::draw(&lab, Some(&record.student)));
            if own != record.varied {
                flags.push(Flag::WrongSeed);
            }
        }
        Err(_) => flags.push(Flag::UnknownLab),
    }
    if !record.is_untouched() {
        flags.push(Flag::Edited);
    }
    let held = record.checks.iter().filter(|check| check.held).count();
    Grade {
        student: record.student.clone(),
        lab: record.lab.clone(),
        file: Some(file.to_owned()),
        held: (held, record.checks.len()),
        predicted_right: record.predicted_right,
        seconds: record.seconds,
        flags,
    }
}

/// Of several files of one student for one lab the best counts.
fn supersede(grades: &mut [Grade]) {
    let mut best: BTreeMap<(String, String), usize> = BTreeMap::new();
    let worth = |grade: &Grade| (grade.passed(), usize::MAX - grade.flags.len(), grade.held.0);
    for (place, grade) in grades.iter().enumerate() {
        if grade.lab.is_empty() {
            continue;
        }
        let key = (grade.student.clone(), grade.lab.clone());
        let known = best.entry(key).or_insert(place);
        if worth(grade) > worth(&grades[*known]) {
            *known = place;
        }
    }
    let counts: BTreeSet<usize> = best.into_values().collect();
    for (place, grade) in grades.iter_mut().enumerate() {
        if !grade.lab.is_empty() && !counts.contains(&place) {
            grade.flags.push(Flag::Superseded);
        }
    }
}
