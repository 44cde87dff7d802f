//! A lab: a lesson with a question, steps that show the answer, and checks that hold it, as a file says it.

mod read;
mod texts;

pub use read::read as read_lab;
pub use texts::{Expression, Template};

use std::time::Duration;

/// A lesson.
#[derive(Debug, Clone, PartialEq)]
pub struct Lab {
    /// What a person types for it.
    pub name: String,
    /// A headline.
    pub title: String,
    /// What is learnt, in a few words.
    pub lesson: String,
    /// What one has to know before the question.
    pub about: Template,
    /// What is to be predicted.
    pub question: Template,
    /// The possible answers.
    pub choices: Vec<Template>,
    /// The place of the right one.
    pub answer: usize,
    /// From gentle to plain.
    pub hints: Vec<String>,
    /// Why it is so, with what was measured.
    pub explanation: Template,
    /// Another lab to go on with.
    pub next: Option<String>,
    /// Programs that have to be installed.
    pub needs: Vec<String>,
    /// It can be done with one's own project.
    pub app: bool,
    /// Names and the values that they may have: a student's name decides which.
    pub vary: Vec<(String, Vec<Varied>)>,
    /// Names and the `lbdev.toml` of each.
    pub setups: Vec<(String, Template)>,
    /// What is done.
    pub steps: Vec<Step>,
    /// What must hold.
    pub checks: Vec<Check>,
    /// Texts of setups and verbs, and what to put there for the lesson not to hold.
    pub broken: Vec<(String, String)>,
}

/// A value that differs between students.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Varied {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

/// One thing that is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What a person is told before.
    pub say: Option<Template>,
    /// What it is.
    pub what: What,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Only says something.
    Nothing,
    /// Starts lbdev with the set-up of this name, in the place of the one before.
    Setup(String),
    /// Runs a verb of lbdev.
    Run(Template),
    /// Sends a load.
    Load(Box<LoadStep>),
    /// Sends one request.
    Ask(Box<AskStep>),
    /// Waits until something is so.
    Wait {
        /// What, of the running lbdev's status.
        until: Expression,
        /// For how long at most.
        within: Duration,
    },
}

/// A load.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadStep {
    /// What was measured is called so.
    pub name: String,
    /// Requests a second; `None` is a closed loop.
    pub rps: Option<Template>,
    /// Connections at most.
    pub connections: Option<u64>,
    /// How long.
    pub lasts: Duration,
    /// Requests at most.
    pub requests: Option<u64>,
    /// A request that takes longer has failed.
    pub timeout: Duration,
    /// Virtual users.
    pub users: u64,
    /// What each of them sends first.
    pub opening: Option<RequestText>,
    /// They have their cookies from this load.
    pub cookies_of: Option<String>,
    /// What is sent, in turns.
    pub send: Vec<RequestText>,
    /// Verbs in the middle.
    pub at: Vec<(Duration, Template)>,
    /// Parts of the time that are told of apart: name, from, to.
    pub windows: Vec<(String, Duration, Duration)>,
    /// It is drawn.
    pub plot: bool,
}

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct AskStep {
    /// Its answer is called so.
    pub name: String,
    /// What is sent.
    pub send: RequestText,
    /// Not for longer than this.
    pub timeout: Duration,
}

/// A request as a lab writes it: `POST /login X-User:alice -- name=alice`.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestText(pub Template);

/// The parts of a [`RequestText`] when everything in it is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestParts {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names and values of fields.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl RequestParts {
    /// Reads `METHOD PATH [NAME:VALUE]… [-- BODY]`; `None` where it is not that.
    pub fn read(text: &str) -> Option<Self> {
        let (head, body) = match text.split_once(" -- ") {
            Some((head, body)) => (head, body),
            None => (text, ""),
        };
        let mut words = head.split_whitespace();
        let method = words.next()?;
        let path = words.next()?;
        let is_method = method.bytes().all(|byte| byte.is_ascii_uppercase());
        let fields: Option<Vec<_>> = words
            .map(|word| {
                let (name, value) = word.split_once(':')?;
                (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
            })
            .collect();
        (is_method && path.starts_with('/')).then_some(())?;
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            fields: fields?,
            body: body.to_owned(),
        })
    }
}

/// Something that must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// In words.
    pub that: String,
    /// Whether it does.
    pub holds: Expression,
    /// What was measured.
    pub shows: Template,
}

#[cfg(test)]
mod tests;
