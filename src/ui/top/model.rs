//! What is shown, and what keys make of it.

use std::collections::VecDeque;

use crate::balance::Algorithm;
use crate::wire::{BackendStatus, Event, History, Status};

/// So many of the last events are kept.
const EVENTS: usize = 100;
/// What `f` proposes where there is no fault yet.
const FAULT: &str = "latency=250ms";

/// A key that somebody pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A letter, a digit, a sign.
    Char(char),
    /// The one above.
    Up,
    /// The one below.
    Down,
    /// Yes.
    Enter,
    /// Back.
    Escape,
    /// Takes the last letter back.
    Backspace,
    /// Ctrl-C.
    Interrupt,
    /// The window has another size.
    Resized,
}

/// What is to be done for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Something to one backend, by its id: `kill`, `start`, `stop`, `restart`, `drain`, `undrain`, `freeze`, `thaw`.
    Act {
        /// Which.
        id: String,
        /// What.
        verb: &'static str,
    },
    /// A fault, in the words of `lbdev fault`.
    Fault {
        /// Of which backend.
        id: String,
        /// `latency=250ms`, `off`.
        words: Vec<String>,
    },
    /// Another algorithm.
    Algorithm(String),
    /// The end of the screen; the servers go on.
    Quit,
}

/// What keys are about now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// One letter, one thing.
    #[default]
    Normal,
    /// All keys are explained.
    Help,
    /// The words of a fault are typed.
    Fault(String),
    /// An algorithm is chosen by its number.
    Algorithm,
}

/// Everything on the screen.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub(super) status: Option<Status>,
    pub(super) history: Option<History>,
    pub(super) events: VecDeque<Event>,
    pub(super) selected: usize,
    pub(super) paused: bool,
    pub(super) mode: Mode,
    /// What became of the last order, and whether that is bad.
    pub(super) said: Option<(String, bool)>,
}

/// Every algorithm, the first of which is number 1.
pub(super) fn algorithms() -> impl Iterator<Item = &'static str> {
    Algorithm::NAMES.iter().map(|(name, _)| *name)
}

impl Model {
    /// Takes what the running lbdev tells now. While it is paused, nothing of it is shown.
    pub fn update(&mut self, status: Status, history: History, events: Vec<Event>) {
        for event in events {
            if self.events.len() >= EVENTS {
                self.events.pop_front();
            }
            self.events.push_back(event);
        }
        if self.paused {
            return;
        }
        self.selected = self.selected.min(status.backends.len().saturating_sub(1));
        self.status = Some(status);
        self.history = Some(history);
    }

    /// What became of an order.
    pub fn say(&mut self, text: impl Into<String>, bad: bool) {
        self.said = Some((text.into(), bad));
    }

    fn selected(&self) -> Option<&BackendStatus> {
        self.status.as_ref()?.backends.get(self.selected)
    }

    /// What this key means now.
    pub fn press(&mut self, key: Key) -> Option<Order> {
        if key == Key::Interrupt {
            return Some(Order::Quit);
        }
        match std::mem::take(&mut self.mode) {
            Mode::Normal => self.press_normal(key),
            // Any key leads back.
            Mode::Help => {
                if key == Key::Resized {
                    self.mode = Mode::Help;
                }
                None
            }
            Mode::Fault(text) => self.press_fault(key, text),
            Mode::Algorithm => match key {
                Key::Char(digit @ '1'..='9') => {
                    let place = digit as usize - '1' as usize;
                    let name = algorithms().nth(place)?;
                    Some(Order::Algorithm(name.to_owned()))
                }
                Key::Resized => {
                    self.mode = Mode::Algorithm;
                    None
                }
                _ => None,
            },
        }
    }

    fn press_fault(&mut self, key: Key, mut text: String) -> Option<Order> {
        match key {
            Key::Char(char) => text.push(char),
            Key::Backspace => {
                text.pop();
            }
            Key::Escape => return None,
            Key::Enter => {
                let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
                let id = self.selected()?.id.clone();
                return (!words.is_empty()).then_some(Order::Fault { id, words });
            }
            Key::Up | Key::Down | Key::Interrupt | Key::Resized => {}
        }
        self.mode = Mode::Fault(text);
        None
    }

    fn press_normal(&mut self, key: Key) -> Option<Order> {
        self.said = None;
        let count = self
            .status
            .as_ref()
            .map_or(0, |status| status.backends.len());
        match key {
            Key::Char('q') | Key::Escape => return Some(Order::Quit),
            Key::Up | Key::Char('K') => self.selected = self.selected.saturating_sub(1),
            Key::Down | Key::Char('j' | 'J') => {
                self.selected = (self.selected + 1).min(count.saturating_sub(1));
            }
            Key::Char('p' | ' ') => self.paused = !self.paused,
            Key::Char('?' | 'h') => self.mode = Mode::Help,
            Key::Char('a') => self.mode = Mode::Algorithm,
            Key::Char(letter) => return self.act(letter),
            Key::Enter | Key::Backspace | Key::Resized | Key::Interrupt => {}
        }
        None
    }

    /// What a letter does to the selected backend, by the state that it is in.
    fn act(&mut self, letter: char) -> Option<Order> {
        let backend = self.selected()?;
        let down = backend.pid.is_none();
        let verb = match letter {
            'k' => "kill",
            's' if down => "start",
            's' => "stop",
            'r' => "restart",
            'd' if backend.enabled => "drain",
            'd' => "undrain",
            'z' if backend.state == "frozen" => "thaw",
            'z' => "freeze",
            'f' => {
                let proposed = if backend.fault.is_some() {
                    "off"
                } else {
                    FAULT
                };
                self.mode = Mode::Fault(proposed.to_owned());
                return None;
            }
            _ => return None,
        };
        let id = backend.id.clone();
        Some(Order::Act { id, verb })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::status::tests::{backend, status};

    fn history() -> History {
        History {
            version: 1,
            seconds: 60,
            window_s: 10,
            p50_ms: None,
            p99_ms: None,
            lost: Vec::new(),
            backends: Vec::new(),
        }
    }

    fn model() -> Model {
        let mut model = Model::default();
        let all = vec![backend(8000, "up"), backend(8001, "stopped")];
        model.update(status(all), history(), Vec::new());
        model
    }

    fn act(id: &str, verb: &'static str) -> Option<Order> {
        let id = id.to_owned();
        Some(Order::Act { id, verb })
    }

    #[test]
    fn a_letter_acts_on_what_is_selected_by_its_state() {
        let mut model = model();
        assert_eq!(model.press(Key::Char('k')), act("web:8000", "kill"));
        assert_eq!(model.press(Key::Char('s')), act("web:8000", "stop"));
        assert_eq!(model.press(Key::Char('d')), act("web:8000", "drain"));
        assert_eq!(model.press(Key::Char('z')), act("web:8000", "freeze"));
        assert_eq!(model.press(Key::Down), None);
        assert_eq!(model.press(Key::Char('s')), act("web:8001", "start"));
        model.press(Key::Down);
        assert_eq!(
            model.press(Key::Char('r')),
            act("web:8001", "restart"),
            "there is none below"
        );
        assert_eq!(model.press(Key::Char('x')), None);
        assert_eq!(model.press(Key::Char('q')), Some(Order::Quit));
        let mut frozen = backend(8000, "frozen");
        frozen.enabled = false;
        model.update(status(vec![frozen]), history(), Vec::new());
        assert_eq!(
            model.press(Key::Char('z')),
            act("web:8000", "thaw"),
            "the other one is gone"
        );
        assert_eq!(model.press(Key::Char('d')), act("web:8000", "undrain"));
    }

    #[test]
    fn words_of_a_fault_are_typed() {
        let mut model = model();
        assert_eq!(model.press(Key::Char('f')), None);
        for _ in 0..5 {
            model.press(Key::Backspace);
        }
        for key in "1s reset".chars() {
            assert_eq!(model.press(Key::Char(key)), None);
        }
        let order = model.press(Key::Enter).unwrap();
        let words = ["latency=1s", "reset"].map(str::to_owned).to_vec();
        let id = "web:8000".to_owned();
        assert_eq!(order, Order::Fault { id, words });
        model.press(Key::Char('f'));
        model.press(Key::Escape);
        assert_eq!(
            model.press(Key::Char('q')),
            Some(Order::Quit),
            "back to one letter, one thing"
        );
        model.press(Key::Char('f'));
        assert_eq!(model.press(Key::Interrupt), Some(Order::Quit));
    }

    #[test]
    fn an_algorithm_is_chosen_by_its_number() {
        let mut model = model();
        model.press(Key::Char('a'));
        assert_eq!(
            model.press(Key::Char('2')),
            Some(Order::Algorithm("least_conn".into()))
        );
        model.press(Key::Char('a'));
        assert_eq!(model.press(Key::Char('9')), None);
        assert_eq!(model.press(Key::Char('2')), None, "it was not chosen");
    }

    #[test]
    fn while_it_is_paused_the_picture_stands() {
        let mut model = model();
        model.press(Key::Char('p'));
        model.update(status(vec![backend(9000, "up")]), history(), Vec::new());
        assert_eq!(model.press(Key::Char('k')), act("web:8000", "kill"));
        model.press(Key::Char('p'));
        model.update(status(vec![backend(9000, "up")]), history(), Vec::new());
        assert_eq!(model.press(Key::Char('k')), act("web:9000", "kill"));
    }
}
