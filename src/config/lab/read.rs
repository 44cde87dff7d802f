//! From a lab's file to a [`Lab`], with every error in it at once.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::texts::{Expression, Template};
use super::{AskStep, Check, Lab, LoadStep, RequestParts, RequestText, Step, Varied, What};
use crate::config::file::syntax_faults;
use crate::config::problem::{At, Fault, Problem, Source, Where, reports};
use crate::config::table::{Sink, Table, place};
use crate::config::value::{self, ValueError};
use crate::error::Report;

/// What every lab knows.
const BUILT_IN: [&str; 11] = [
    "ports", "listen", "url", "server", "shared", "student", "status", "app", "range", "lab_dir",
    "engine",
];
/// A load lasts at least so long.
const LEAST: Duration = Duration::from_millis(100);
/// What `needs` can say.
const LONGEST_NAME: usize = 40;

/// Reads the text of `file`, a lab called `name`.
///
/// # Errors
/// Everything that is wrong with it, by its place.
pub fn read(name: &str, file: &str, text: &str) -> Result<Lab, Vec<Report>> {
    let source = Source { name: file, text };
    let told = |faults: Vec<Fault>| {
        let reports = reports(faults, Some(source));
        let coded = reports.into_iter().map(|report| Report {
            code: "LB051",
            ..report
        });
        coded.collect::<Vec<_>>()
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(told(syntax_faults(&errors, text)));
    }
    let sink = Sink::default();
    let top = Table::new("the file", root.get_ref(), &sink);
    let lab = Reader::new(&top).read(name);
    top.close();
    let faults = sink.into_inner();
    match lab {
        Some(lab) if faults.is_empty() => Ok(lab),
        _ => Err(told(faults)),
    }
}

struct Reader<'a, 'b> {
    top: &'b Table<'a>,
    /// Names that texts may use by now.
    known: Vec<String>,
}

impl<'a, 'b> Reader<'a, 'b> {
    fn new(top: &'b Table<'a>) -> Self {
        Self {
            top,
            known: BUILT_IN.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn read(mut self, name: &str) -> Option<Lab> {
        let start = Where::File(0..0);
        let vary = self.vary();
        let needed = |key, value| self.top.needed(key, &start, value);
        let title = needed("title", self.top.text("title"));
        let lesson = needed("lesson", self.top.text("lesson"));
        let about = needed("about", self.top.text("about"));
        let question = needed("question", self.top.text("question"));
        let about = about.and_then(|text| self.template(self.top, &text));
        let question = question.and_then(|text| self.template(self.top, &text));
        let any = |text: &str| Ok(text.to_owned());
        let choices = self.top.list("choices", "a list of texts", any);
        let choices = self.top.needed("choices", &start, choices);
        let answer = self.top.integer("answer", &(1..=9));
        let answer = self.top.needed("answer", &start, answer);
        let hints = self.top.list("hints", "a list of texts", any);
        let explanation = self.top.text("explanation");
        let explanation = self.top.needed("explanation", &start, explanation);
        let next = self.top.string("next");
        let needs = self.top.list("needs", "a list of programs", program);
        let app = self.top.boolean("app");
        if let (Some(choices), Some(answer)) = (&choices, &answer) {
            let count = choices.value.len();
            if count < 2 {
                self.say(
                    &choices.at,
                    "`choices` are two or more, else there is nothing to predict".to_owned(),
                );
            } else if answer.value as usize > count {
                self.say(
                    &answer.at,
                    format!(
                        "`answer` is {}, and there are {count} choices",
                        answer.value
                    ),
                );
            }
        }
        let setups = self.setups(&start);
        let steps = self.steps(&setups, &start);
        let checks = self.checks(&start);
        let explanation = explanation.and_then(|text| self.template(self.top, &text));
        let broken = self.broken(&setups, &steps);
        let choices = choices.map(|choices| choices.value).unwrap_or_default();
        let choices: Vec<Option<Template>> = choices
            .iter()
            .map(|text| self.template(self.top, text))
            .collect();
        let plain = |all: Option<At<Vec<At<String>>>>| {
            let all = all.map(|all| all.value).unwrap_or_default();
            all.into_iter().map(|one| one.value).collect()
        };
        Some(Lab {
            name: name.to_owned(),
            title: title?.value,
            lesson: lesson?.value,
            about: about?,
            question: question?,
            choices: choices.into_iter().collect::<Option<_>>()?,
            answer: usize::try_from(answer?.value).ok()?.checked_sub(1)?,
            hints: plain(hints),
            explanation: explanation?,
            next: next.map(|next| next.value),
            needs: plain(needs),
            app: app.is_some_and(|app| app.value),
            vary,
            setups: setups
                .into_iter()
                .map(|(name, text)| (name, text.value))
                .collect(),
            steps: steps.into_iter().map(|step| step.value).collect(),
            checks,
            broken,
        })
    }

    fn say(&self, at: &Where, what: String) {
        self.hint(at, what, None);
    }

    fn hint(&self, at: &Where, what: String, hint: Option<String>) {
        self.top.fault(at.clone(), Problem::Lab { what, hint });
    }

    /// All of these names are known.
    fn names(&self, at: &Where, names: &[String]) {
        for name in names.iter().filter(|name| !self.known.contains(*name)) {
            let like = value::alike(name, self.known.iter().map(String::as_str));
            let hint = match like {
                Some(like) => format!("did you mean `{like}`?"),
                None => {
                    let own = self
                        .known
                        .iter()
                        .filter(|n| !BUILT_IN.contains(&n.as_str()));
                    let own: Vec<&str> = own.map(String::as_str).collect();
                    match own.as_slice() {
                        [] => "names are those of `vary`, and of loads and answers of steps before"
                            .to_owned(),
                        own => format!("known are {}", value::list(own.iter().copied())),
                    }
                }
            };
            self.hint(at, format!("nothing is called `{name}` here"), Some(hint));
        }
    }

    fn template(&self, _table: &Table<'_>, text: &At<String>) -> Option<Template> {
        match Template::read(&text.value) {
            Ok((template, names)) => {
                self.names(&text.at, &names);
                Some(template)
            }
            Err(why) => {
                self.say(&text.at, format!("the text cannot be filled in: {why}"));
                None
            }
        }
    }

    fn expression(&self, text: &At<String>) -> Option<Expression> {
        match Expression::read(&text.value) {
            Ok((expression, names)) => {
                self.names(&text.at, &names);
                Some(expression)
            }
            Err(why) => {
                self.say(&text.at, format!("that is no expression: {why}"));
                None
            }
        }
    }

    fn vary(&mut self) -> Vec<(String, Vec<Varied>)> {
        let Some(table) = self.top.table("vary") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (name, value) in table.value.each() {
            self.call(&name.at, &name.value);
            let varied = |entry: &Spanned<DeValue<'_>>| match entry.get_ref() {
                DeValue::Integer(number) => number.to_string().parse().ok().map(Varied::Number),
                DeValue::String(text) => Some(Varied::Text(text.to_string())),
                _ => None,
            };
            let values = match value.get_ref() {
                DeValue::Array(entries) if !entries.is_empty() => {
                    entries.iter().map(varied).collect::<Option<Vec<_>>>()
                }
                _ => None,
            };
            match values {
                Some(values) => all.push((name.value, values)),
                None => self.say(
                    &place(value),
                    format!("`{}` must be a list of numbers or of texts", name.value),
                ),
            }
        }
        all
    }

    /// A new name.
    fn call(&mut self, at: &Where, name: &str) {
        let first = name.starts_with(|c: char| c.is_ascii_lowercase());
        let rest = name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !first || !rest {
            self.say(
                at,
                format!("`{name}` is no name: use small letters, digits and `_`"),
            );
        } else if self.known.iter().any(|known| known == name) {
            self.say(at, format!("something is called `{name}` already"));
        } else {
            self.known.push(name.to_owned());
        }
    }

    fn setups(&self, start: &Where) -> Vec<(String, At<Template>)> {
        let Some(table) = self.top.needed("setups", start, self.top.table("setups")) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (name, value) in table.value.each() {
            let DeValue::String(text) = value.get_ref() else {
                self.say(
                    &place(value),
                    format!("`{}` must be the text of an lbdev.toml", name.value),
                );
                continue;
            };
            let text = At {
                value: text.to_string(),
                at: place(value),
            };
            if let Some(template) = self.template(self.top, &text) {
                let at = text.at;
                all.push((
                    name.value,
                    At {
                        value: template,
                        at,
                    },
                ));
            }
        }
        all
    }

    fn steps(&mut self, setups: &[(String, At<Template>)], start: &Where) -> Vec<At<Step>> {
        let tables = self.top.tables("steps");
        if tables.is_empty() {
            self.top.needed::<()>("steps", start, None);
        }
        let mut all = Vec::new();
        for At { value: table, at } in tables {
            let say = table.text("say");
            let say = say.and_then(|text| self.template(&table, &text));
            let what = self.what(&table, setups, &at);
            table.close();
            if let Some(what) = what {
                all.push(At {
                    value: Step { say, what },
                    at,
                });
            }
        }
        all
    }

    fn what(
        &mut self,
        table: &Table<'a>,
        setups: &[(String, At<Template>)],
        at: &Where,
    ) -> Option<What> {
        let setup = table.string("setup");
        let run = table.text("run");
        let load = table.string("load");
        let ask = table.string("ask");
        let wait = table.text("wait");
        let count = [
            setup.is_some(),
            run.is_some(),
            load.is_some(),
            ask.is_some(),
            wait.is_some(),
        ];
        if count.iter().filter(|is| **is).count() > 1 {
            self.say(
                at,
                "a step does one thing: `setup`, `run`, `load`, `ask` or `wait`".to_owned(),
            );
            return None;
        }
        if let Some(setup) = setup {
            if !setups.iter().any(|(name, _)| *name == setup.value) {
                let names = || setups.iter().map(|(name, _)| name.as_str());
                let hint = match value::alike(&setup.value, names()) {
                    Some(like) => format!("did you mean `{like}`?"),
                    None => format!("known are {}", value::list(names())),
                };
                let what = format!("there is no set-up `{}`", setup.value);
                self.hint(&setup.at, what, Some(hint));
            }
            return Some(What::Setup(setup.value));
        }
        if let Some(run) = run {
            return self.template(table, &run).map(What::Run);
        }
        if let Some(until) = wait {
            let within = table.duration("within", LEAST);
            let until = self.expression(&until)?;
            let within = within.map_or(Duration::from_secs(10), |within| within.value);
            return Some(What::Wait { until, within });
        }
        if let Some(name) = ask {
            let timeout = table.duration("timeout", LEAST);
            let send = table.parsed("send", "a request", request);
            let send = table.needed("send", at, send);
            let send = send.and_then(|text| self.template(table, &text));
            self.call(&name.at, &name.value);
            return Some(What::Ask(Box::new(AskStep {
                name: name.value,
                send: RequestText(send?),
                timeout: timeout.map_or(Duration::from_secs(30), |timeout| timeout.value),
            })));
        }
        match load {
            Some(name) => self
                .load(table, name, at)
                .map(|step| What::Load(Box::new(step))),
            None => Some(What::Nothing),
        }
    }

    fn load(&mut self, table: &Table<'a>, name: At<String>, at: &Where) -> Option<LoadStep> {
        let rps = table.number_or_text("rps");
        let connections = table.integer("connections", &(1..=1000));
        let lasts = table.duration("for", LEAST);
        let lasts = table.needed("for", at, lasts);
        let requests = table.integer("requests", &(1..=1_000_000));
        let timeout = table.duration("timeout", LEAST);
        let users = table.integer("users", &(0..=10_000));
        let opening = table.parsed("opening", "a request", request);
        let cookies_of = table.string("cookies_of");
        let send = table.list("send", "a list of requests", request);
        let at_times = table.list("at", "a list of times and verbs", |text| {
            let (time, verb) = text.split_once(' ').ok_or_else(|| ValueError::Shape {
                text: text.to_owned(),
                wanted: "a time and a verb, such as `2s kill 8000`",
            })?;
            Ok((value::duration(time)?, verb.trim().to_owned()))
        });
        let windows = table.list("windows", "a list of names and times", window);
        let plot = table.boolean("plot");
        let is_closed = rps.is_none();
        if is_closed && connections.is_none() {
            self.hint(
                at,
                "a load has `rps`, or `connections` for a closed loop".to_owned(),
                Some("write for example `rps = 100`".to_owned()),
            );
        }
        let rps = match rps {
            Some(text) => Some(self.template(table, &text)?),
            None => None,
        };
        let opening = opening.and_then(|text| self.template(table, &text));
        if let Some(of) = &cookies_of
            && !self.known.contains(&of.value)
        {
            self.say(&of.at, format!("there is no load `{}` before", of.value));
        }
        let send = send.map(|send| send.value).unwrap_or_default();
        let send: Vec<Option<Template>> =
            send.iter().map(|text| self.template(table, text)).collect();
        let mut send = send.into_iter().collect::<Option<Vec<_>>>()?;
        if send.is_empty() {
            send.push(Template::plain("GET /"));
        }
        let mut verbs = Vec::new();
        for one in at_times.map(|all| all.value).unwrap_or_default() {
            let text = At {
                value: one.value.1,
                at: one.at,
            };
            verbs.push((one.value.0, self.template(table, &text)?));
        }
        let windows = windows.map(|all| all.value).unwrap_or_default();
        self.call(&name.at, &name.value);
        Some(LoadStep {
            name: name.value,
            rps,
            connections: connections.map(|n| n.value),
            lasts: lasts?.value,
            requests: requests.map(|n| n.value),
            timeout: timeout.map_or(Duration::from_secs(30), |timeout| timeout.value),
            users: users.map_or(0, |users| users.value),
            opening: opening.map(RequestText),
            cookies_of: cookies_of.map(|of| of.value),
            send: send.into_iter().map(RequestText).collect(),
            at: verbs,
            windows: windows.into_iter().map(|window| window.value).collect(),
            plot: plot.is_none_or(|plot| plot.value),
        })
    }

    fn checks(&self, start: &Where) -> Vec<Check> {
        let tables = self.top.tables("checks");
        if tables.is_empty() {
            self.top.needed::<()>("checks", start, None);
        }
        let mut all = Vec::new();
        for At { value: table, at } in tables {
            let that = table.needed("that", &at, table.text("that"));
            let holds = table.needed("holds", &at, table.text("holds"));
            let shows = table.needed("shows", &at, table.text("shows"));
            let holds = holds.and_then(|text| self.expression(&text));
            let shows = shows.and_then(|text| self.template(&table, &text));
            table.close();
            if let (Some(that), Some(holds), Some(shows)) = (that, holds, shows) {
                all.push(Check {
                    that: that.value,
                    holds,
                    shows,
                });
            }
        }
        all
    }

    fn broken(
        &self,
        setups: &[(String, At<Template>)],
        steps: &[At<Step>],
    ) -> Vec<(String, String)> {
        let pairs = self.top.list("broken", "a list of replacements", |text| {
            let (old, new) = text.split_once(" => ").ok_or_else(|| ValueError::Shape {
                text: text.to_owned(),
                wanted: "a text, ` => `, and what to put there",
            })?;
            Ok((old.to_owned(), new.to_owned()))
        });
        let pairs = pairs.map(|pairs| pairs.value).unwrap_or_default();
        for At {
            value: (old, _),
            at,
        } in &pairs
        {
            let in_setup = setups
                .iter()
                .any(|(_, text)| text.value.source().contains(old));
            let in_step = steps.iter().any(|step| match &step.value.what {
                What::Run(verb) => verb.source().contains(old),
                What::Load(load) => load.at.iter().any(|(_, verb)| verb.source().contains(old)),
                _ => false,
            });
            if !in_setup && !in_step {
                self.say(at, format!("`{old}` is in no set-up and no verb"));
            }
        }
        pairs.into_iter().map(|pair| pair.value).collect()
    }
}

fn request(text: &str) -> Result<String, ValueError> {
    // Names are filled in later; what they stand for has no space in it.
    match RequestParts::read(&text.replace("{{ ", "{{").replace(" }}", "}}")) {
        Some(_) => Ok(text.to_owned()),
        None => Err(ValueError::Shape {
            text: text.to_owned(),
            wanted: "a request such as `GET /`, or `POST /login X-User:alice -- name=alice`",
        }),
    }
}

fn window(text: &str) -> Result<(String, Duration, Duration), ValueError> {
    let wrong = || ValueError::Shape {
        text: text.to_owned(),
        wanted: "a name and two times, such as `before 0s 3s`",
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let [name, from, to] = words[..] else {
        return Err(wrong());
    };
    let from = match from {
        "0" | "0s" => Duration::ZERO,
        from => value::duration(from)?,
    };
    let to = value::duration(to)?;
    match from < to {
        true => Ok((name.to_owned(), from, to)),
        false => Err(wrong()),
    }
}

fn program(text: &str) -> Result<String, ValueError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(ValueError::Shape {
            text: text.to_owned(),
            wanted: "the name of a program",
        }),
    }
}

impl Lab {
    /// The same lab, made so that its lesson does not hold: what its checks must then find.
    #[must_use]
    pub fn broken(mut self) -> Self {
        for (old, new) in self.broken.clone() {
            for (_, setup) in &mut self.setups {
                setup.replace(&old, &new);
            }
            for step in &mut self.steps {
                match &mut step.what {
                    What::Run(verb) => drop(verb.replace(&old, &new)),
                    What::Load(load) => load.at.iter_mut().for_each(|(_, verb)| {
                        verb.replace(&old, &new);
                    }),
                    _ => {}
                }
            }
        }
        self
    }
}
