//! Does what a lab says, and judges what was measured.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::instance::{Place, Ports, Running};
use super::values::{Values, of_load};
use super::{ask, draw};
use crate::config::Engine;
use crate::config::lab::{Lab, LoadStep, RequestParts, RequestText, Step, Template, Varied, What};
use crate::error::Report;
use crate::load::{
    self, Beat, Caller, Jars, Limits, MOST_CONNECTIONS, Plan, RunError, Sample, Seen, Target, Verb,
};
use crate::shutdown::{Level, Shutdown};
use crate::wire::LoadReport;

/// The status is looked at so often while something is waited for.
const LOOK: Duration = Duration::from_millis(50);

/// Who looks on.
pub trait Audience {
    /// A text of the lab.
    fn say(&mut self, text: &str);
    /// Something begins that takes a moment.
    fn does(&mut self, what: &str);
    /// A verb was run, with what it printed.
    fn ran(&mut self, verb: &str, said: &[String]);
    /// A load begins.
    fn load_begins(&mut self, plan: &Plan);
    /// It goes on.
    fn load_seen(&mut self, seen: &Seen<'_>);
    /// It has ended. It is to be drawn, or only told of.
    fn load_ended(&mut self, report: &LoadReport, plot: bool);
}

/// A lab that is about to be done: its folder and ports are there.
#[derive(Debug)]
pub struct Setting {
    lab: Lab,
    place: Place,
    ports: Ports,
    varied: BTreeMap<String, Varied>,
    values: Values,
    engine: Engine,
}

/// A check, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// In words.
    pub that: String,
    /// What was measured.
    pub shows: String,
    /// It holds.
    pub held: bool,
}

/// What came of a lab.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// Somebody stopped it: nothing was judged.
    pub interrupted: bool,
    /// Each check.
    pub verdicts: Vec<Verdict>,
    /// Why it is so, with what was measured.
    pub explanation: String,
    /// What was measured, in short.
    pub measured: Map<String, Value>,
}

/// Why a lab could not go on.
type Stuck = Report;

/// A step has ended, or somebody has stopped the lab in it.
enum Ended {
    Step,
    Lab,
}

impl Setting {
    /// For this student, with this server (lines of a service of an `lbdev.toml`).
    ///
    /// # Errors
    /// When there is no room or no port for it.
    pub fn new(
        lab: Lab,
        student: Option<&str>,
        server: &str,
        app: bool,
        engine: Engine,
    ) -> Result<Self, Report> {
        let place = Place::new(&lab.name)?;
        let ports = Ports::find()?;
        let varied = draw(&lab, student);
        let mut values = Values::default();
        values.set("ports", json!(ports.backends()));
        values.set("listen", json!(format!("localhost:{}", ports.listen())));
        values.set("url", json!(format!("http://localhost:{}", ports.listen())));
        values.set("server", json!(server));
        values.set("app", json!(app));
        values.set("engine", json!(engine.name()));
        values.set("shared", json!(place.shared()));
        values.set("lab_dir", json!(place.dir()));
        values.set("student", json!(student.unwrap_or_default()));
        for (name, value) in &varied {
            values.set(name, json_of(value));
        }
        Ok(Self {
            lab,
            place,
            ports,
            varied,
            values,
            engine,
        })
    }

    /// What it is about.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// What differs between students.
    pub fn varied(&self) -> &BTreeMap<String, Varied> {
        &self.varied
    }

    /// A text of the lab with what is known by now.
    ///
    /// # Errors
    /// LB051: it needs what is not there.
    pub fn text(&self, template: &Template) -> Result<String, Report> {
        template
            .fill(&self.values.filled())
            .map_err(|why| broken(&self.lab.name, &why))
    }
}

fn json_of(value: &Varied) -> Value {
    match value {
        Varied::Number(number) => json!(number),
        Varied::Text(text) => json!(text),
    }
}

/// A lab that asks for what is not there.
fn broken(lab: &str, why: &str) -> Report {
    Report::failed("LB051", format!("the lab `{lab}` cannot go on: {why}"))
        .hint("see its file, and what was measured above")
}

/// Does every step, and judges.
///
/// # Errors
/// When a step cannot be done. The lab's lbdev has ended by then.
pub async fn perform(
    mut setting: Setting,
    audience: &mut dyn Audience,
    shutdown: &Shutdown,
) -> Result<Done, Report> {
    let mut stage = Stage {
        running: None,
        jars: BTreeMap::new(),
        measured: Map::new(),
    };
    let mut outcome = Ok(Ended::Step);
    for step in setting.lab.steps.clone() {
        outcome = stage.step(&mut setting, &step, audience, shutdown).await;
        if !matches!(outcome, Ok(Ended::Step)) {
            break;
        }
    }
    if let Some(running) = stage.running.take() {
        running.end().await;
    }
    let interrupted = matches!(outcome?, Ended::Lab);
    let mut done = Done {
        interrupted,
        verdicts: Vec::new(),
        explanation: String::new(),
        measured: stage.measured,
    };
    if interrupted {
        return Ok(done);
    }
    let values = setting.values.filled();
    let name = &setting.lab.name;
    for check in &setting.lab.checks {
        done.verdicts.push(Verdict {
            that: check.that.clone(),
            held: check
                .holds
                .holds(&values)
                .map_err(|why| broken(name, &why))?,
            shows: check
                .shows
                .fill(&values)
                .map_err(|why| broken(name, &why))?,
        });
    }
    done.explanation = setting.text(&setting.lab.explanation)?;
    Ok(done)
}

/// What steps leave to those after them.
struct Stage {
    running: Option<Running>,
    /// Cookies of virtual users after a load.
    jars: BTreeMap<String, Jars>,
    measured: Map<String, Value>,
}

impl Stage {
    async fn step(
        &mut self,
        setting: &mut Setting,
        step: &Step,
        audience: &mut dyn Audience,
        shutdown: &Shutdown,
    ) -> Result<Ended, Stuck> {
        if let Some(say) = &step.say {
            audience.say(&setting.text(say)?);
        }
        if let What::Load(load) = &step.what {
            return self.load(setting, load, audience, shutdown).await;
        }
        let doing = async {
            match &step.what {
                What::Nothing | What::Load(_) => Ok(()),
                What::Setup(name) => self.setup(setting, name, audience).await,
                What::Run(verb) => run(setting, verb, audience).await,
                What::Ask(asked) => {
                    let text = &asked.send;
                    let sample = sample(setting, text)?;
                    let target = target(setting)?;
                    audience.does(&format!("{} {}", sample.method, sample.path));
                    let answer = ask::ask(&target, &sample, asked.timeout).await;
                    self.measured.insert(asked.name.clone(), brief(&answer));
                    setting.values.set(&asked.name, answer);
                    Ok(())
                }
                What::Wait { until, within } => {
                    let end = Instant::now() + *within;
                    let Some(running) = &self.running else {
                        return Err(broken(&setting.lab.name, "there is nothing to wait for"));
                    };
                    loop {
                        let status = running.client.status().await?;
                        let status = serde_json::to_value(&status).unwrap_or_default();
                        setting.values.set("status", status);
                        let holds = until.holds(&setting.values.filled());
                        if holds.map_err(|why| broken(&setting.lab.name, &why))? {
                            return Ok(());
                        }
                        if Instant::now() >= end {
                            let why = format!(
                                "`{}` did not come true within {} s",
                                until.source(),
                                within.as_secs_f64()
                            );
                            return Err(broken(&setting.lab.name, &why));
                        }
                        tokio::time::sleep(LOOK).await;
                    }
                }
            }
        };
        tokio::select! {
            done = doing => done.map(|()| Ended::Step),
            _ = shutdown.reached(Level::Drain) => Ok(Ended::Lab),
        }
    }

    async fn setup(
        &mut self,
        setting: &Setting,
        name: &str,
        audience: &mut dyn Audience,
    ) -> Result<(), Stuck> {
        if let Some(before) = self.running.take() {
            before.end().await;
        }
        let setup = setting.lab.setups.iter().find(|(known, _)| known == name);
        let Some((_, text)) = setup else {
            return Err(broken(
                &setting.lab.name,
                &format!("there is no set-up `{name}`"),
            ));
        };
        let ports = setting.ports.backends();
        audience.does(&format!(
            "lbdev up  (its own: balancer on {}, servers on {}-{})",
            setting.ports.listen(),
            ports[0],
            ports[3]
        ));
        let text = setting.text(text)?;
        self.running = Some(Running::start(&setting.place, &text, setting.engine).await?);
        Ok(())
    }

    async fn load(
        &mut self,
        setting: &mut Setting,
        step: &LoadStep,
        audience: &mut dyn Audience,
        shutdown: &Shutdown,
    ) -> Result<Ended, Stuck> {
        let plan = self.plan(setting, step)?;
        let mut verbs = Vec::new();
        for (at, verb) in &step.at {
            let line = setting.text(verb)?;
            let words = words(setting, &line)?;
            verbs.push(Verb {
                at: *at,
                line,
                words,
            });
        }
        let caller = caller(setting);
        let client = self.running.as_ref().map(|running| &running.client);
        audience.load_begins(&plan);
        let stop = async {
            shutdown.reached(Level::Drain).await;
        };
        let seen = |seen: Seen<'_>| audience.load_seen(&seen);
        let driven = load::drive(&plan, &verbs, &caller, client, seen, stop).await;
        let driven = driven.map_err(|error| match error {
            RunError::Machine(error) => Report::failed(
                "LB008",
                format!("the machine refuses what a load needs: {error}"),
            )
            .hint("raise the limit of open files: `ulimit -n 4096`"),
            RunError::Plan(error) => broken(&setting.lab.name, &error.to_string()),
        })?;
        let report = load::report(&plan, &driven, &Limits::default());
        audience.load_ended(&report, step.plot);
        if driven.measured.stopped {
            return Ok(Ended::Lab);
        }
        if let Some(failed) = driven.acted.iter().find(|one| one.exit != Some(0)) {
            let why = format!(
                "`lbdev {}` failed: {}",
                failed.command,
                failed.output.join(" · ")
            );
            return Err(broken(&setting.lab.name, &why));
        }
        let value = of_load(step, &plan, &driven, &report, &setting.ports.backends());
        self.measured.insert(step.name.clone(), brief(&value));
        self.jars.insert(step.name.clone(), driven.measured.jars);
        setting.values.set(&step.name, value);
        Ok(Ended::Step)
    }

    fn plan(&self, setting: &Setting, step: &LoadStep) -> Result<Plan, Stuck> {
        let beat = match &step.rps {
            None => Beat::Closed,
            Some(text) => {
                let text = setting.text(text)?;
                let rps = text.trim().parse::<f64>().ok();
                let rps = rps.filter(|rps| (0.1..=100_000.0).contains(rps));
                let wrong = || broken(&setting.lab.name, &format!("`{text}` is no rate"));
                Beat::Open(rps.ok_or_else(wrong)?)
            }
        };
        let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let opening = step.opening.as_ref().map(|text| sample(setting, text));
        let samples = step.send.iter().map(|text| sample(setting, text));
        let jars = step.cookies_of.as_ref().and_then(|of| self.jars.get(of));
        Ok(Plan {
            target: target(setting)?,
            samples: samples.collect::<Result<_, _>>()?,
            beat,
            connections: step.connections.map_or(MOST_CONNECTIONS, count),
            lasts: step.lasts,
            timeout: step.timeout,
            requests: step.requests,
            opening: opening.transpose()?,
            users: count(step.users),
            jars: jars.cloned().unwrap_or_default(),
        })
    }
}

fn target(setting: &Setting) -> Result<Target, Stuck> {
    Target::parse(&format!("http://localhost:{}/", setting.ports.listen()))
        .map(|(target, _)| target)
        .map_err(|error| broken(&setting.lab.name, &error.to_string()))
}

fn sample(setting: &Setting, text: &RequestText) -> Result<Sample, Stuck> {
    let text = setting.text(&text.0)?;
    let wrong = || broken(&setting.lab.name, &format!("`{text}` is no request"));
    let parts = RequestParts::read(&text).ok_or_else(wrong)?;
    Ok(Sample {
        method: parts.method.parse().map_err(|_| wrong())?,
        path: parts.path,
        fields: parts.fields,
        body: parts.body,
    })
}

fn words(setting: &Setting, line: &str) -> Result<Vec<String>, Stuck> {
    let words = shlex::split(line).filter(|words| !words.is_empty());
    words.ok_or_else(|| broken(&setting.lab.name, &format!("`{line}` is no verb of lbdev")))
}

fn caller(setting: &Setting) -> Caller {
    Caller {
        dir: setting.place.dir().to_owned(),
        project: None,
    }
}

async fn run(setting: &Setting, verb: &Template, audience: &mut dyn Audience) -> Result<(), Stuck> {
    let line = setting.text(verb)?;
    let words = words(setting, &line)?;
    let (exit, said) = caller(setting).call(&words).await;
    if exit != Some(0) {
        let why = format!("`lbdev {line}` failed: {}", said.join(" · "));
        return Err(broken(&setting.lab.name, &why));
    }
    audience.ran(&line, &said);
    Ok(())
}

/// Numbers with three digits after the point: more would be noise, and would not be read back the same everywhere.
fn rounded(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let rounded = number.as_f64().map(|number| (number * 1e3).round() / 1e3);
            rounded.map_or(Value::Null, Value::from)
        }
        Value::Array(all) => all.iter().map(rounded).collect(),
        Value::Object(all) => {
            let pairs = all.iter().map(|(key, value)| (key.clone(), rounded(value)));
            Value::Object(pairs.collect())
        }
        other => other.clone(),
    }
}

/// What a result file keeps of a measurement.
fn brief(value: &Value) -> Value {
    const KEYS: [&str; 15] = [
        "requests",
        "ok",
        "failed",
        "failures",
        "elsewhere",
        "rate",
        "ok_rate",
        "latency_ms",
        "counts",
        "peaks",
        "failovers",
        "began",
        "status",
        "ms",
        "backend",
    ];
    let kept = KEYS.iter().filter_map(|key| {
        let value = value.get(*key)?;
        Some(((*key).to_owned(), rounded(value)))
    });
    Value::Object(kept.collect())
}
