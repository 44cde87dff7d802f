//! From what was typed to what is meant.

use std::path::Path;

use super::args::{Args, Color, EngineName, Page, Running, Shape, Source, Typed};
use super::invocation::{
    CompareOptions, ExportOptions, ImportOptions, Invocation, LabOptions, LoadOptions, LogsOptions,
    Place, Task, UpOptions, Verb,
};
use crate::config::request::Request;
use crate::load::Limits;
use crate::ui::ColorChoice;

impl Args {
    pub(super) fn into_invocation(self, cwd: &Path) -> Invocation {
        let place = Place {
            dir: super::absolute(cwd, self.dir.as_deref()),
            said: self.dir.is_some(),
            // An empty LBDEV_PROJECT is the same as none.
            project: self.project.filter(|name| !name.is_empty()),
        };
        let color = match self.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let (dir, json) = (&place.dir, self.json);
        let verb = match self.verb {
            Typed::Up {
                shape,
                source,
                running,
                services,
            } => Verb::Up(running.options(Request {
                services,
                ..source.apply(shape.request(dir))
            })),
            Typed::Demo { shape, running } => Verb::Up(running.options(Request {
                demo: true,
                ..shape.request(dir)
            })),
            Typed::Run {
                shape,
                source,
                wait_timeout,
                page,
                balancer,
                services,
                then,
            } => Verb::Up(Box::new(UpOptions {
                request: Request {
                    services,
                    no_watch: true,
                    engine: balancer.engine,
                    ..page.apply(source.apply(shape.request(dir)))
                },
                detach: false,
                wait: true,
                wait_timeout,
                raw_logs: false,
                then: Some(then),
            })),
            Typed::Reload => Verb::Task(Task::Reload),
            Typed::Down { all } => Verb::Task(Task::Down { all }),
            Typed::Status => Verb::Task(Task::Status),
            Typed::Ls => Verb::Task(Task::Ls),
            Typed::Kill {
                target,
                signal,
                restart,
            } => Verb::Task(Task::Kill {
                target: target.target,
                signal,
                restart,
            }),
            Typed::Start { target } => Verb::Task(Task::Start {
                target: target.target,
            }),
            Typed::Stop { target } => Verb::Task(Task::Stop {
                target: target.target,
            }),
            Typed::Restart { target, rolling } => Verb::Task(Task::Restart {
                target: target.target,
                rolling,
            }),
            Typed::Drain {
                target,
                off,
                everyone,
            } => Verb::Task(Task::Drain {
                target: target.target,
                off,
                everyone,
            }),
            Typed::Undrain { target } => Verb::Task(Task::Drain {
                target: target.target,
                off: true,
                everyone: false,
            }),
            Typed::Freeze { target } => Verb::Task(Task::Freeze {
                target: target.target,
            }),
            Typed::Thaw { target } => Verb::Task(Task::Thaw {
                target: target.target,
            }),
            Typed::Attach { target } => Verb::Task(Task::Attach {
                target: target.target,
                debug: false,
            }),
            Typed::Debug { target } => Verb::Task(Task::Attach {
                target: target.target,
                debug: true,
            }),
            Typed::Scale { wanted } => Verb::Task(Task::Scale { wanted }),
            Typed::Set { words } => Verb::Task(Task::Set { words }),
            Typed::Fault { target, what } => Verb::Task(Task::Fault {
                target: target.target,
                what,
            }),
            Typed::Events { follow, last } => Verb::Task(Task::Events { follow, last }),
            Typed::Lab {
                words,
                auto,
                app,
                student,
                broken,
                engine,
                roster,
                csv,
            } => Verb::Task(Task::Lab(Box::new(LabOptions {
                words,
                auto,
                app: app.map(|app| super::absolute(dir, Some(&app))),
                student,
                broken,
                engine: engine.meant(),
                roster: roster.map(|file| dir.join(file)),
                csv,
            }))),
            Typed::Load {
                urls,
                rps,
                connections,
                lasts,
                at,
                method,
                headers,
                data,
                users,
                timeout,
                max_errors,
                max_p99,
                html,
            } => Verb::Task(Task::Load(Box::new(LoadOptions {
                urls,
                rps,
                connections,
                lasts,
                at: at
                    .chunks(2)
                    .filter_map(|pair| Some((pair.first()?.clone(), pair.get(1)?.clone())))
                    .collect(),
                method,
                headers,
                data,
                users,
                timeout,
                limits: Limits {
                    errors: max_errors,
                    p99: max_p99,
                },
                html: html.map(|file| dir.join(file)),
            }))),
            Typed::Export {
                target,
                output,
                strict,
                shape,
                source,
            } => Verb::Task(Task::Export(Box::new(ExportOptions {
                target: target.meant(),
                output: output.map(|file| dir.join(file)),
                strict,
                request: source.apply(shape.request(dir)),
            }))),
            Typed::Import { file, output, run } => {
                Verb::Task(Task::Import(Box::new(ImportOptions {
                    file: dir.join(file),
                    output: output.map(|file| match file.as_os_str() == "-" {
                        true => file,
                        false => dir.join(file),
                    }),
                    run,
                })))
            }
            Typed::Compare { engines, quick } => Verb::Task(Task::Compare(CompareOptions {
                engines: engines.into_iter().map(EngineName::meant).collect(),
                quick,
            })),
            Typed::Top => Verb::Task(Task::Top),
            Typed::Doctor { port } => Verb::Task(Task::Doctor { port }),
            Typed::Explain { code } => Verb::Task(Task::Explain { code }),
            Typed::Open {
                print,
                app,
                new_token,
            } => Verb::Task(Task::Open {
                print,
                app,
                new_token,
            }),
            Typed::Completions { shell } => Verb::Completions(shell.name()),
            Typed::Man => Verb::Man,
            Typed::Logs {
                target,
                follow,
                last,
                since,
                grep,
            } => Verb::Task(Task::Logs(LogsOptions {
                target,
                follow,
                last,
                since,
                grep,
            })),
            Typed::Init { framework } => Verb::Task(Task::Init { framework }),
            Typed::Config {
                shape,
                source,
                schema,
            } => Verb::Task(Task::Config {
                request: Box::new(source.apply(shape.request(dir))),
                schema,
            }),
        };
        Invocation {
            place,
            color,
            json,
            verb,
        }
    }
}

impl Shape {
    fn request(self, dir: &Path) -> Request {
        Request {
            dir: dir.to_owned(),
            replicas: self.replicas,
            ports: self.ports,
            listen: self.listen,
            algorithm: self.algorithm,
            sticky: self.sticky,
            detect: self.detect,
            workers: self.workers,
            ..Request::default()
        }
    }
}

impl Source {
    fn apply(self, request: Request) -> Request {
        Request {
            // As if `-C` had changed the folder first, like `git -C` and `make -C`.
            file: self.file.map(|file| request.dir.join(file)),
            command: self.command,
            from: self.from,
            external: self.external,
            ..request
        }
    }
}

impl Page {
    fn apply(self, request: Request) -> Request {
        Request {
            no_dashboard: self.no_dashboard,
            dashboard_listen: self.dashboard_listen,
            dashboard_hosts: self.dashboard_host,
            ..request
        }
    }
}

impl Running {
    fn options(self, request: Request) -> Box<UpOptions> {
        Box::new(UpOptions {
            request: Request {
                no_watch: self.no_watch,
                engine: self.balancer.engine,
                ..self.page.apply(request)
            },
            // As in `docker compose up --wait`.
            detach: self.detach || self.wait,
            wait: self.wait,
            wait_timeout: self.wait_timeout,
            raw_logs: self.raw_logs,
            then: None,
        })
    }
}
