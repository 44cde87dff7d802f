//! Single keys in the foreground of `up`: what each means, and the line on which a backend is asked for. All pure.

use crate::backend::Phase;
use crate::supervisor::View;

/// What a key asks for. Targets and faults are as they were typed: the running lbdev resolves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Something to backends: `kill`, `start`, `restart`, `drain`, `undrain`.
    Act {
        /// What.
        verb: &'static str,
        /// Which.
        target: String,
    },
    /// A fault in the words of `lbdev fault`, its target first.
    Fault(Vec<String>),
    /// The live screen, for as long as somebody looks at it.
    Top,
    /// The application in a browser.
    Open,
    /// The end, as Ctrl-C asks for it.
    Quit,
}

/// What the display itself has to do for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pressed {
    /// Nothing.
    Nothing,
    /// The line below has changed.
    Asks,
    /// These lines are to be shown.
    Show(String),
    /// Lines of frameworks about requests are shown from now on, or not any more.
    RawLogs,
    /// Somebody else has to do it.
    Order(Order),
}

/// The keys, where they work: in the last lines of a start.
pub(super) const LINE: &str =
    "k kill  s start  r restart  d drain  f fault  t top  o page  h help  q quit";

/// What `h` shows.
const HELP: &str = "  k  kill a backend, as a crash would; it stays down until it is started
  s  start one that is down
  r  restart one, when its requests have ended
  d  drain one: no new requests; once more: undrain
  f  put a fault into its requests: 8000 latency=250ms, 8000 off
  a  show, or hide, the lines in which a framework tells of requests
  t  the live screen
  o  open the dashboard in a browser
  q  stop everything, as Ctrl-C does
";

/// What is being asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ask {
    verb: &'static str,
    /// What Enter alone means.
    proposed: String,
    known: String,
    typed: String,
}

/// What keys are about.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    ask: Option<Ask>,
}

impl Keys {
    /// The line that asks, while it does.
    pub(super) fn line(&self) -> Option<String> {
        let Ask {
            verb,
            proposed,
            known,
            typed,
        } = self.ask.as_ref()?;
        Some(match *verb {
            "fault" => format!("fault, of which and what? [{proposed}] › {typed}"),
            verb => format!("{verb} which? {known} [{proposed}] › {typed}"),
        })
    }

    /// What this key means now.
    pub(super) fn press(&mut self, key: char, view: &View) -> Pressed {
        match self.ask.take() {
            Some(ask) => self.answer(ask, key, view),
            None => self.begin(key, view),
        }
    }

    fn begin(&mut self, key: char, view: &View) -> Pressed {
        match key {
            'q' => Pressed::Order(Order::Quit),
            'h' | '?' => Pressed::Show(HELP.to_owned()),
            'a' => Pressed::RawLogs,
            't' => Pressed::Order(Order::Top),
            'o' => Pressed::Order(Order::Open),
            // A person parts what comes from what was.
            '\r' | '\n' => Pressed::Show("\n".to_owned()),
            'k' => self.ask("kill", view, |phase| phase == Phase::Up),
            'r' => self.ask("restart", view, |phase| phase == Phase::Up),
            'd' => self.ask("drain", view, |phase| phase == Phase::Up),
            's' => self.ask("start", view, |phase| {
                matches!(phase, Phase::Stopped | Phase::Failed | Phase::Backoff)
            }),
            'f' => self.ask("fault", view, |phase| phase == Phase::Up),
            _ => Pressed::Nothing,
        }
    }

    fn ask(&mut self, verb: &'static str, view: &View, likely: fn(Phase) -> bool) -> Pressed {
        let all = || view.backends.iter();
        let Some(first) = all().find(|one| likely(one.phase)).or(all().next()) else {
            return Pressed::Nothing;
        };
        let first = first.spec.id.short();
        if view.backends.len() == 1 && verb != "fault" {
            return self.done(verb, &first, view);
        }
        let names: Vec<String> = all().take(8).map(|one| one.spec.id.short()).collect();
        let more = if view.backends.len() > names.len() {
            " …"
        } else {
            ""
        };
        self.ask = Some(Ask {
            verb,
            known: format!("{}{more} or all", names.join(" ")),
            proposed: match verb {
                "fault" => format!("{first} latency=250ms"),
                _ => first,
            },
            typed: String::new(),
        });
        Pressed::Asks
    }

    fn answer(&mut self, mut ask: Ask, key: char, view: &View) -> Pressed {
        match key {
            '\r' | '\n' => {
                let typed = ask.typed.trim();
                let said = if typed.is_empty() {
                    &ask.proposed
                } else {
                    typed
                };
                return self.done(ask.verb, said, view);
            }
            // Escape, Ctrl-U, Ctrl-G.
            '\u{1b}' | '\u{15}' | '\u{7}' => return Pressed::Asks,
            '\u{8}' | '\u{7f}' => {
                ask.typed.pop();
            }
            key if key.is_control() => {}
            key => ask.typed.push(key),
        }
        self.ask = Some(ask);
        Pressed::Asks
    }

    fn done(&self, verb: &'static str, said: &str, view: &View) -> Pressed {
        if verb == "fault" {
            let words: Vec<String> = said.split_whitespace().map(str::to_owned).collect();
            return Pressed::Order(Order::Fault(words));
        }
        let drained = (view.backends.iter()).any(|one| one.spec.id.short() == said && !one.enabled);
        let verb = match verb {
            "drain" if drained => "undrain",
            verb => verb,
        };
        let target = said.to_owned();
        Pressed::Order(Order::Act { verb, target })
    }
}

/// Turns the bytes of a terminal into keys. What a key sends that is no letter (an arrow) is left out as a whole; letters
/// may come in pieces.
#[cfg(any(unix, test))]
#[derive(Debug, Default)]
pub(super) struct Decoder {
    rest: Vec<u8>,
}

#[cfg(any(unix, test))]
impl Decoder {
    /// The keys in what came at once.
    pub(super) fn keys(&mut self, bytes: &[u8]) -> Vec<char> {
        if bytes.first() == Some(&0x1b) && bytes.len() > 1 {
            return Vec::new();
        }
        self.rest.extend_from_slice(bytes);
        let mut keys = Vec::new();
        loop {
            let error = match std::str::from_utf8(&self.rest) {
                Ok(text) => {
                    keys.extend(text.chars());
                    self.rest.clear();
                    return keys;
                }
                Err(error) => error,
            };
            let good = error.valid_up_to();
            keys.extend(String::from_utf8_lossy(&self.rest[..good]).chars());
            match error.error_len() {
                Some(bad) => self.rest.drain(..good + bad),
                None => {
                    self.rest.drain(..good);
                    return keys;
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::display::tests::view;

    fn press(keys: &mut Keys, typed: &str, view: &View) -> Pressed {
        let mut last = Pressed::Nothing;
        for key in typed.chars() {
            last = keys.press(key, view);
        }
        last
    }

    fn act(verb: &'static str, target: &str) -> Pressed {
        let target = target.to_owned();
        Pressed::Order(Order::Act { verb, target })
    }

    #[test]
    fn a_key_asks_for_a_backend_and_enter_takes_the_likely_one() {
        let mut keys = Keys::default();
        let view = view(&[(8000, Phase::Up), (8001, Phase::Up), (8002, Phase::Stopped)]);
        assert_eq!(keys.press('k', &view), Pressed::Asks);
        assert_eq!(
            keys.line().unwrap(),
            "kill which? 8000 8001 8002 or all [8000] › "
        );
        assert_eq!(keys.press('\r', &view), act("kill", "8000"));
        assert_eq!(keys.line(), None);
        assert_eq!(
            press(&mut keys, "k8002\u{7f}1\r", &view),
            act("kill", "8001")
        );
        assert_eq!(
            press(&mut keys, "s\r", &view),
            act("start", "8002"),
            "the one that is down"
        );
        assert_eq!(press(&mut keys, "rall\r", &view), act("restart", "all"));
        assert_eq!(press(&mut keys, "k\u{1b}", &view), Pressed::Asks);
        assert_eq!(keys.line(), None, "it was left");
        assert_eq!(keys.press('q', &view), Pressed::Order(Order::Quit));
        let words =
            |line: &str| Pressed::Order(Order::Fault(line.split(' ').map(str::to_owned).collect()));
        assert_eq!(press(&mut keys, "f\r", &view), words("8000 latency=250ms"));
        assert_eq!(press(&mut keys, "f8001 off\r", &view), words("8001 off"));
        assert_eq!(keys.press('x', &view), Pressed::Nothing);
    }

    #[test]
    fn of_one_backend_nobody_asks_which() {
        let mut keys = Keys::default();
        let mut one = view(&[(8000, Phase::Up)]);
        assert_eq!(keys.press('k', &one), act("kill", "8000"));
        assert_eq!(keys.press('d', &one), act("drain", "8000"));
        one.backends[0].enabled = false;
        assert_eq!(keys.press('d', &one), act("undrain", "8000"));
        assert_eq!(
            keys.press('k', &View::default()),
            Pressed::Nothing,
            "there is none"
        );
    }

    #[test]
    fn bytes_are_keys() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.keys(b"k8"), ['k', '8']);
        assert!(decoder.keys(b"\x1b[A").is_empty(), "an arrow");
        assert_eq!(decoder.keys(b"\x1b"), ['\u{1b}']);
        assert!(decoder.keys(&[0xc3]).is_empty());
        assert_eq!(decoder.keys(&[0xbc, b'x']), ['ü', 'x']);
        assert_eq!(decoder.keys(&[0xff, b'k']), ['k']);
    }
}
