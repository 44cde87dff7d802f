//! The terminal of the live screen: taken over for as long as it lasts, and as before afterwards, whatever happens.

use std::io;
use std::time::Duration;

use jiff::tz::TimeZone;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use super::{Key, Model, draw};
use crate::ui::Ui;

/// The thread that reads keys looks so often whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// The terminal, while the live screen has it. Dropping it gives it back, also in a panic (ratatui has a hook for that).
pub struct Screen {
    terminal: DefaultTerminal,
    keys: mpsc::UnboundedReceiver<Key>,
    ui: Ui,
    zone: TimeZone,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it cannot be, as one that has gone.
    pub fn enter(ui: &Ui) -> io::Result<Screen> {
        let terminal = ratatui::try_init()?;
        let (to, keys) = mpsc::unbounded_channel();
        std::thread::Builder::new()
            .name("keys".into())
            .spawn(move || read(&to))?;
        Ok(Screen {
            terminal,
            keys,
            ui: *ui,
            zone: TimeZone::system(),
        })
    }

    /// Draws what has changed since the last time.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub fn draw(&mut self, model: &Model) -> io::Result<()> {
        let (paint, zone) = (self.ui.out, &self.zone);
        self.terminal
            .draw(|frame| draw(frame, model, paint, zone))?;
        Ok(())
    }

    /// The next key; `None` when the terminal has gone.
    pub async fn key(&mut self) -> Option<Key> {
        self.keys.recv().await
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        let _ = ratatui::try_restore();
    }
}

/// Reads keys until nobody wants them, or the terminal has gone.
fn read(to: &mpsc::UnboundedSender<Key>) {
    loop {
        match event::poll(LOOK) {
            Ok(false) if to.is_closed() => return,
            Ok(false) => continue,
            Ok(true) => {}
            Err(_) => return,
        }
        let Ok(event) = event::read() else { return };
        if let Some(key) = key(&event)
            && to.send(key).is_err()
        {
            return;
        }
    }
}

fn key(event: &Event) -> Option<Key> {
    match event {
        Event::Resize(..) => Some(Key::Resized),
        Event::Key(key) if key.kind == KeyEventKind::Release => None,
        Event::Key(key) => match key.code {
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                Some(Key::Interrupt)
            }
            KeyCode::Char(char) => Some(Key::Char(char)),
            KeyCode::Up => Some(Key::Up),
            KeyCode::Down => Some(Key::Down),
            KeyCode::Enter => Some(Key::Enter),
            KeyCode::Esc => Some(Key::Escape),
            KeyCode::Backspace => Some(Key::Backspace),
            _ => None,
        },
        _ => None,
    }
}
