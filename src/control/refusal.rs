//! Why something is not done, as an answer: the status, the code, the hint.

use hyper::{Response, StatusCode, header};

use super::bodies::{Body, json};
use crate::backend::{Intent, Signal};
use crate::error::{Exit, Report};
use crate::supervisor::Refused;
use crate::wire::{Problem, ProblemBody, VERSION};

/// An answer that is no success.
#[derive(Debug)]
pub struct Refusal {
    pub(super) status: StatusCode,
    pub(super) report: Report,
    /// What else is wrong.
    pub(super) more: Vec<Report>,
    /// The methods that would do.
    allow: Option<&'static str>,
}

impl Refusal {
    /// With one reason.
    pub fn new(status: StatusCode, report: Report) -> Self {
        Self {
            status,
            report,
            more: Vec::new(),
            allow: None,
        }
    }

    pub(super) fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// As both doors answer it.
    pub fn into_response(self) -> Response<Body> {
        let error = problem_body(self.report);
        let mut errors: Vec<ProblemBody> = self.more.into_iter().map(problem_body).collect();
        if !errors.is_empty() {
            errors.insert(0, error.clone());
        }
        let problem = Problem {
            version: VERSION,
            error,
            errors,
        };
        let mut response = json(self.status, &problem);
        if let Some(allow) = self.allow {
            let allow = header::HeaderValue::from_static(allow);
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

fn problem_body(report: Report) -> ProblemBody {
    ProblemBody {
        code: report.code.to_owned(),
        message: report.message,
        hint: report.hint,
        details: report.details,
    }
}

/// What Windows cannot send is refused.
pub(super) fn possible(signal: Signal) -> Result<Signal, Refusal> {
    if signal.is_possible() {
        return Ok(signal);
    }
    let name = signal.full_name();
    let hint = match signal.intent() {
        Intent::Freeze | Intent::Thaw => {
            "run `lbdev drain all` to keep requests from them, or `lbdev kill all`"
        }
        Intent::Kill | Intent::End | Intent::Tell => {
            "run `lbdev kill all --signal TERM` (CTRL_BREAK) or `--signal INT` (CTRL_C)"
        }
    };
    let report = Report::usage("LB021", format!("{name} is not possible on Windows")).hint(hint);
    Err(Refusal::new(StatusCode::BAD_REQUEST, report))
}

pub(super) fn refused(refused: Refused) -> Refusal {
    let report =
        match &refused {
            Refused::Stopping => Report::failed("LB006", refused.to_string())
                .hint("wait for it, then run `lbdev up`"),
            Refused::External(_) => Report::failed("LB031", refused.to_string())
                .hint("end it where it was started; `lbdev drain` keeps requests from it"),
            Refused::Debugged { by } => Report::failed("LB034", refused.to_string()).hint(format!(
                "leave `lbdev debug {}` first: Ctrl-P Ctrl-Q in its terminal",
                by.short()
            )),
            Refused::OtherKind(_) => Report::failed("LB031", refused.to_string())
                .hint("run `lbdev down`, then `lbdev up`"),
            Refused::NotUp { id, .. } => {
                let hint = format!("run `lbdev start {}` first", id.short());
                Report::failed("LB032", refused.to_string()).hint(hint)
            }
            Refused::NotBalanced(_) => {
                let report = Report::usage("LB021", refused.to_string())
                    .hint("run `lbdev status` to see which backends have a port");
                return Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, report);
            }
            Refused::NoSuchService { known, .. } => {
                let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                let message = format!("{refused}; known: {}", known.join(", "));
                let report = Report::usage("LB030", message).hint(
                    "run `lbdev status` to see the services, the part before `:` of each backend",
                );
                return Refusal::new(StatusCode::NOT_FOUND, report);
            }
            Refused::Leaving { id, index } => Report::failed("LB030", refused.to_string()).hint(
                format!("run `lbdev scale {}={index}` to keep it", id.service()),
            ),
            Refused::ExternalService { .. } => Report::failed("LB031", refused.to_string())
                .hint("start or end them where they run; `lbdev drain` keeps requests from one"),
            Refused::Count { .. } => {
                let report = Report::usage("LB021", refused.to_string())
                    .hint("run `lbdev scale 4`, or `lbdev stop all` to have none run");
                return unfit(report);
            }
            Refused::NoPort => Report::failed("LB001", refused.to_string())
                .hint("begin lower: run `lbdev down`, then `lbdev up --ports 8000-8003`"),
            Refused::NotMade(_) => Report::failed("LB011", refused.to_string())
                .hint("put back what was there at the start, or run `lbdev down` and `lbdev up`"),
            Refused::AllWeightsZero { .. } => {
                let report = Report::usage("LB021", refused.to_string()).hint(
                    "leave one of them a weight, or run `lbdev drain` to keep requests from them",
                );
                return Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, report);
            }
        };
    Refusal::new(StatusCode::CONFLICT, report)
}

/// A set-up that cannot be, with all that is wrong with it.
pub(super) fn unchanged(mut reports: Vec<Report>) -> Refusal {
    let first = match reports.is_empty() {
        true => Report::usage("LB021", "the set-up is not valid"),
        false => reports.remove(0),
    };
    let status = match first.exit {
        Exit::Usage => StatusCode::UNPROCESSABLE_ENTITY,
        Exit::Failed | Exit::NothingRuns => StatusCode::CONFLICT,
    };
    Refusal {
        more: reports,
        ..Refusal::new(status, first)
    }
}

/// A value that cannot be.
pub(super) fn unfit(report: Report) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, report)
}
