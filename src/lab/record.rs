//! The file that says how a student's lab went.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::perform::{Setting, Verdict};
use crate::config::lab::Varied;
use crate::wire::VERSION;

/// One run of a lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Of this format.
    pub version: u32,
    /// The lab.
    pub lab: String,
    /// Who did it.
    pub student: String,
    /// No two runs have the same.
    pub run: String,
    /// Which lbdev.
    pub lbdev: String,
    /// How far it came.
    pub state: RecordState,
    /// When it began.
    pub began: jiff::Timestamp,
    /// How long it took.
    pub seconds: f64,
    /// With the student's own project.
    pub app: bool,
    /// Nobody was asked for a prediction.
    pub auto: bool,
    /// The choice that was predicted, from 1.
    pub predicted: Option<usize>,
    /// It was the right one.
    pub predicted_right: Option<bool>,
    /// What was drawn from the student's name.
    pub varied: BTreeMap<String, Value>,
    /// Each check.
    pub checks: Vec<CheckRecord>,
    /// What was measured.
    pub measured: Map<String, Value>,
    /// Of all the rest. It shows that a file was changed by hand, to whoever looks; it proves nothing.
    #[serde(default)]
    pub digest: String,
}

/// How far a lab came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// It was begun, and never ended.
    Interrupted,
    /// To its end.
    Complete,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CheckRecord {
    pub that: String,
    pub shows: String,
    pub held: bool,
}

impl From<&Verdict> for CheckRecord {
    fn from(verdict: &Verdict) -> Self {
        Self {
            that: verdict.that.clone(),
            shows: verdict.shows.clone(),
            held: verdict.held,
        }
    }
}

/// `lab-failover-s123.json`. What a file's name cannot have becomes `_`.
pub fn file_name(lab: &str, student: &str) -> String {
    let plain = |c: char| match c.is_alphanumeric() || "-.@".contains(c) {
        true => c,
        false => '_',
    };
    let student: String = student.chars().map(plain).collect();
    format!("lab-{lab}-{}.json", student.trim_start_matches('.'))
}

pub(super) fn varied(values: &BTreeMap<String, Varied>) -> BTreeMap<String, Value> {
    let json = |value: &Varied| match value {
        Varied::Number(number) => Value::from(*number),
        Varied::Text(text) => Value::from(text.as_str()),
    };
    values
        .iter()
        .map(|(name, value)| (name.clone(), json(value)))
        .collect()
}

impl Record {
    /// Of a lab that begins now.
    pub fn begin(setting: &Setting, student: &str, app: bool, auto: bool) -> Self {
        Self {
            version: VERSION,
            lab: setting.lab().name.clone(),
            student: student.to_owned(),
            run: uuid::Uuid::new_v4().to_string(),
            lbdev: env!("CARGO_PKG_VERSION").to_owned(),
            state: RecordState::Interrupted,
            began: jiff::Timestamp::now(),
            seconds: 0.0,
            app,
            auto,
            predicted: None,
            predicted_right: None,
            varied: varied(setting.varied()),
            checks: Vec::new(),
            measured: Map::new(),
            digest: String::new(),
        }
    }

    /// Every check held.
    pub fn passed(&self) -> bool {
        self.state == RecordState::Complete && self.checks.iter().all(|check| check.held)
    }

    fn digest(&self) -> String {
        let plain = Self {
            digest: String::new(),
            ..self.clone()
        };
        let text = serde_json::to_string(&plain).unwrap_or_default();
        data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
    }

    /// It is as it was written.
    pub(super) fn is_untouched(&self) -> bool {
        self.digest == self.digest()
    }

    /// Writes it, in the place of an earlier one.
    ///
    /// # Errors
    /// When the folder or the disk refuses it.
    pub fn write(&mut self, file: &Path) -> std::io::Result<()> {
        self.digest = self.digest();
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::other)?;
        // Whole, or not at all: half a record would be a broken one.
        let half = file.with_extension("json.part");
        std::fs::write(&half, text + "\n")?;
        std::fs::rename(&half, file)
    }

    /// Reads one.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let record: Self =
            serde_json::from_str(&text).map_err(|error| format!("it is no result: {error}"))?;
        match record.version {
            VERSION => Ok(record),
            other => Err(format!(
                "it is of version {other}, and this lbdev knows {VERSION}"
            )),
        }
    }
}
