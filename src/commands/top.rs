//! `top`: the live screen.

use std::io::IsTerminal;
use std::time::Duration;

use super::connect;
use crate::cli::Place;
use crate::config::Engine;
use crate::control::Client;
use crate::control::client::ClientError;
use crate::engine::not_with;
use crate::error::Report;
use crate::shutdown::{Level, Reason, Shutdown};
use crate::ui::Ui;
use crate::ui::lines::short;
use crate::ui::top::screen::Screen;
use crate::ui::top::{Model, Order};

/// Between two looks at the running lbdev.
const LOOK: Duration = Duration::from_millis(500);

/// Why it has ended.
enum End {
    /// Somebody left.
    Left,
    /// lbdev has ended, or hangs.
    Gone(ClientError),
    /// A signal.
    Signal(u8),
}

/// Shows what happens until somebody leaves.
pub(super) async fn top(place: &Place, ui: &Ui) -> Result<u8, Report> {
    let (found, client) = connect(place, ui)?;
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    if !ui.out_terminal || !std::io::stdin().is_terminal() || dumb {
        let message = match dumb && ui.out_terminal {
            true => "this terminal cannot move its cursor (TERM is `dumb`)",
            false => "`lbdev top` needs a terminal",
        };
        return Err(
            Report::failed("LB033", message).hint("run `lbdev status`, or `lbdev events -f`")
        );
    }
    let engine = client.status().await?.balancer.engine;
    let engine = Engine::NAMES.iter().find(|(name, _)| *name == engine);
    if let Some((_, engine)) = engine.filter(|(_, engine)| engine.is_foreign()) {
        return Err(not_with("counting requests", *engine));
    }
    let shutdown = Shutdown::default();
    // Without a handler a signal ends it all the same; only the terminal is not given back then.
    let _ = shutdown.listen();
    let no_terminal = |error: std::io::Error| {
        Report::failed(
            "LB033",
            format!("the terminal cannot be taken over: {error}"),
        )
        .hint("run `lbdev status`")
    };
    let mut screen = Screen::enter(ui).map_err(no_terminal)?;
    let end = watch(&client, &mut screen, &shutdown).await;
    drop(screen);
    match end {
        // The terminal has gone: there is nobody to tell.
        Err(_) | Ok(End::Left) => Ok(0),
        Ok(End::Signal(code)) => Ok(code),
        Ok(End::Gone(error)) => {
            // It may be ending at this very moment.
            tokio::time::sleep(Duration::from_millis(300)).await;
            if found.folder.is_locked() {
                return Err(error.into());
            }
            ui.note("lbdev has ended");
            Ok(0)
        }
    }
}

async fn watch(client: &Client, screen: &mut Screen, shutdown: &Shutdown) -> std::io::Result<End> {
    let mut model = Model::default();
    let mut seen = 0;
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            state = shutdown.reached(Level::Drain) => return Ok(match state.reason {
                Some(Reason::Terminate) => End::Signal(143),
                Some(Reason::HangUp) => End::Signal(129),
                Some(Reason::Interrupt | Reason::Asked) | None => End::Left,
            }),
            key = screen.key() => {
                let Some(key) = key else { return Ok(End::Left) };
                match model.press(key) {
                    None => {}
                    Some(Order::Quit) => return Ok(End::Left),
                    Some(order) => {
                        match obey(client, &order).await {
                            Ok(said) => model.say(said, false),
                            Err(report) => model.say(in_a_line(&report), true),
                        }
                        tick.reset_immediately();
                    }
                }
            }
            _ = tick.tick() => {
                if let Err(error) = look(client, &mut model, &mut seen).await {
                    return Ok(End::Gone(error));
                }
            }
        }
        screen.draw(&model)?;
    }
}

async fn look(client: &Client, model: &mut Model, seen: &mut u64) -> Result<(), ClientError> {
    let status = client.status().await?;
    let history = client.history().await?;
    let events = client.events(*seen, Duration::ZERO).await?;
    *seen = events.last;
    model.update(status, history, events.events);
    Ok(())
}

/// Does what a key asked for; what to say about it.
async fn obey(client: &Client, order: &Order) -> Result<String, Report> {
    match order {
        Order::Quit => Ok(String::new()),
        Order::Act { id, verb } => {
            client.act(id, verb, None).await?;
            Ok(format!("lbdev {verb} {}", short(id)))
        }
        Order::Fault { id, words } => {
            let said = super::fault::read(words)?;
            let said = serde_json::Value::Object(said);
            client.act(id, "fault", Some(said)).await?;
            Ok(format!("lbdev fault {} {}", short(id), words.join(" ")))
        }
        Order::Algorithm(name) => {
            let setting = ("algorithm".to_owned(), name.as_str().into());
            client.set(serde_json::Map::from_iter([setting])).await?;
            Ok(format!("lbdev set algorithm={name}"))
        }
    }
}

fn in_a_line(report: &Report) -> String {
    match &report.hint {
        Some(hint) => format!("{} · {hint}", report.message),
        None => report.message.clone(),
    }
}
