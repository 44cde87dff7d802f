//! What each verb does that asks or tells something, and ends.

mod act;
mod attach;
mod browser;
mod compare;
mod doctor;
mod down;
mod drain;
mod events;
mod explain;
mod export;
mod fault;
mod freeze;
mod import;
mod lab;
mod left_over;
mod load;
mod logs;
mod reload;
mod rolling;
mod scale;
mod set;
mod setup;
mod status;
mod top;

use std::future::Future;

pub(crate) use browser::{PRINTED, in_browser, no_browser};
pub(crate) use fault::read as read_fault;
pub(crate) use left_over::end_left_over;
pub(crate) use reload::{follow as follow_reload, tell as tell_reload};

use crate::cli::{Place, Task};
use crate::control::client::Client;
use crate::error::Report;
use crate::instance::{self, Found};
use crate::ui::Ui;

/// Does `task` in `place`; gives the exit code.
///
/// # Errors
/// What is to be reported, usually one thing; the exit code is the first one's.
pub fn run(task: Task, place: &Place, ui: &Ui) -> Result<u8, Vec<Report>> {
    let done = match task {
        Task::Down { all } => block_on(down::down(place, all, ui)),
        Task::Status => block_on(status::status(place, ui)),
        Task::Ls => block_on(status::ls(ui)),
        Task::Kill {
            target,
            signal,
            restart,
        } => block_on(act::kill(place, &target, signal, restart, ui)),
        Task::Start { target } => block_on(act::start(place, &target, ui)),
        Task::Stop { target } => block_on(act::stop(place, &target, ui)),
        Task::Restart {
            target,
            rolling: true,
        } => block_on(rolling::restart(place, &target, ui)),
        Task::Restart { target, .. } => block_on(act::restart(place, &target, ui)),
        Task::Drain {
            target, off: true, ..
        } => block_on(drain::undrain(place, &target, ui)),
        Task::Drain {
            target, everyone, ..
        } => block_on(drain::drain(place, &target, everyone, ui)),
        Task::Freeze { target } => block_on(freeze::freeze(place, &target, ui)),
        Task::Thaw { target } => block_on(freeze::thaw(place, &target, ui)),
        Task::Attach { target, debug } => {
            let how = match debug {
                true => attach::How::Debug,
                false => attach::How::Attach,
            };
            block_on(attach::attach(place, &target, how, ui))
        }
        Task::Scale { wanted } => block_on(scale::scale(place, &wanted, ui)),
        Task::Set { words } => block_on(set::set(place, &words, ui)),
        Task::Fault { target, what } => block_on(fault::fault(place, &target, &what, ui)),
        Task::Events { follow, last } => block_on(events::events(place, follow, last, ui)),
        Task::Lab(options) => return lab::lab(place, &options, ui),
        Task::Load(options) => return load::load(place, &options, ui),
        Task::Top => block_on(top::top(place, ui)),
        Task::Doctor { port } => return doctor::doctor(place, port, ui),
        Task::Compare(options) => return compare::compare(&options, ui),
        Task::Export(options) => return export::export(&options, ui),
        Task::Import(options) => return import::import(place, &options, ui),
        Task::Explain { code } => explain::explain(code.as_deref(), ui),
        Task::Open {
            app: true, print, ..
        } => block_on(browser::open_app(place, print, ui)),
        Task::Open {
            print, new_token, ..
        } => block_on(browser::open(place, print, new_token, ui)),
        Task::Logs(options) => block_on(logs::logs(place, &options, ui)),
        Task::Reload => {
            return runtime()
                .map_err(|e| vec![e])?
                .block_on(reload::reload(place, ui));
        }
        Task::Init { framework } => setup::init(place, framework.as_deref(), ui),
        Task::Config { schema: true, .. } => {
            ui.out(&format!("{:#}", crate::config::schema()));
            Ok(0)
        }
        Task::Config { request, .. } => return setup::config(&request, ui),
    };
    done.map_err(|report| vec![report])
}

/// Runs one verb to its end.
fn block_on(verb: impl Future<Output = Result<u8, Report>>) -> Result<u8, Report> {
    runtime()?.block_on(verb)
}

/// An event loop of this thread alone.
///
/// # Errors
/// When the machine refuses one.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Report> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Report::failed(
                "LB008",
                format!("the machine refuses an event loop: {error}"),
            )
            .hint("raise the limit of open files: `ulimit -n 4096`")
        })
}

/// The instance that is meant, and a client of it. Says which one where that is not plain.
fn connect(place: &Place, ui: &Ui) -> Result<(Found, Client), Report> {
    let found = instance::find(place.said_dir(), place.project.as_deref())?;
    if let Some(note) = &found.note {
        ui.note(note);
    }
    let client = client_of(&found)?;
    Ok((found, client))
}

/// Under `--json`: the backends that were meant, as they now are.
async fn tell_backends(client: &Client, target: &str, ui: &Ui) -> Result<(), Report> {
    if ui.json {
        ui.json(&client.backends(target).await?);
    }
    Ok(())
}

fn client_of(found: &Found) -> Result<Client, Report> {
    Ok(Client::new(std::path::Path::new(&found.instance.socket))?)
}
