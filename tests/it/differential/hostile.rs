//! Backends that answer nonsense: lbdev never hangs beyond its timeouts, never crashes, and never gives what belongs to one
//! request to another. Clients share its connections to the backends, send several requests at once, and read strictly:
//! what lbdev makes of nonsense is well-formed, or visibly cut.

mod attack;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::task::JoinSet;

use super::backend::{After, Answers, Backend};
use super::message::{Message, Peer, Trouble};
use super::{h2, seed};
use crate::harness::Lbdev;
use crate::wait::{is_long, s, until};
use attack::{Attack, Ending, attack, foreign};

/// Clients in HTTP/1.1, and streams of one in HTTP/2.
const CLIENTS: usize = 24;
const STREAMS: usize = 4;
/// `timeouts.backend_head` and `timeouts.body`.
const TIMEOUTS: &str = "800ms";
/// No answer takes longer: a head and a body may be late one after the other, at two backends, and the machine be busy.
const LONGEST: Duration = s(8);

/// How the answers ended.
#[derive(Debug, Default)]
struct Ends {
    /// With what a backend said, to its end.
    whole: AtomicUsize,
    /// With a page of lbdev's own.
    pages: AtomicUsize,
    /// In the middle.
    cut: AtomicUsize,
}

/// What came to one request.
enum Came {
    Whole(Message),
    /// It broke off in the middle of this; of a stream nothing may be left.
    Cut(Option<Message>),
}

fn marked(message: &Message) -> Vec<u8> {
    let mut all = message.start.concat();
    for (name, value) in message.fields.iter().chain(&message.trailers) {
        all.extend([&name[..], b" ", value, b" "].concat());
    }
    all.extend(&message.body);
    all
}

/// Whether what came is allowed to have come.
fn judge(attacks: &[Attack], attack: &Attack, came: &Came, ends: &Ends) -> Result<()> {
    let message = match came {
        Came::Whole(message) | Came::Cut(Some(message)) => message,
        Came::Cut(None) => &Message::new([b"", b"", b""]),
    };
    if let Some(mark) = foreign(&marked(message), &attack.mark, attacks) {
        bail!("it has a mark of another request: {}", mark.escape_ascii());
    }
    // Its own pages are of lbdev's own errors, and say so in the text that the client asks for.
    let is_page = matches!(message.status(), 502 | 504) && message.get("x-mark").is_none();
    match came {
        Came::Whole(_) if is_page => ends.pages.fetch_add(1, Ordering::Relaxed),
        Came::Whole(_) => ends.whole.fetch_add(1, Ordering::Relaxed),
        Came::Cut(_) => ends.cut.fetch_add(1, Ordering::Relaxed),
    };
    let is_whole = matches!(came, Came::Whole(_)) && !is_page;
    if attack.is_cut {
        ensure!(!is_whole, "it was cut, and came as if it were whole");
    }
    if attack.is_kind {
        ensure!(
            is_whole && message.status() == 200 && message.body == attack.body,
            "what a backend has said well did not arrive"
        );
    }
    Ok(())
}

/// One client in HTTP/1.1: up to three requests at once, on a connection that it keeps while it may.
fn ask(attacks: &[Attack], mine: &[usize], port: u16, ends: &Ends) -> Result<()> {
    let mut next = 0;
    'connections: while next < mine.len() {
        let mut peer = Peer::connect(port)?;
        while next < mine.len() {
            let batch = &mine[next..mine.len().min(next + 1 + next % 3)];
            for &number in batch {
                // It may have been ended by now, which shows in what comes.
                let _ = peer.write(&attacks[number].request_bytes);
            }
            for (place, &number) in batch.iter().enumerate() {
                let attack = &attacks[number];
                let about = || about(number, attack);
                let began = Instant::now();
                let is_alone = place + 1 == batch.len();
                let came = read(&mut peer, attack, is_alone).with_context(about)?;
                ensure!(began.elapsed() < LONGEST, "it took too long: {}", about());
                judge(attacks, attack, &came, ends)
                    .with_context(|| shown(&came))
                    .with_context(about)?;
                next += 1;
                let goes_on =
                    matches!(&came, Came::Whole(answer) if !answer.says("connection", "close"));
                if !goes_on {
                    // What was asked behind it is asked again.
                    continue 'connections;
                }
            }
            ensure!(!peer.has_more(), "something came that nobody asked for");
        }
    }
    Ok(())
}

fn read(peer: &mut Peer, attack: &Attack, is_alone: bool) -> Result<Came> {
    loop {
        let mut answer = match peer.head() {
            Ok(Some(answer)) => answer,
            // What was sent behind it and not read any more has reset the connection, and with it what was on its way.
            Ok(None) | Err(Trouble::Ended) if !is_alone && !attack.is_kind => {
                return Ok(Came::Cut(None));
            }
            Ok(None) => bail!("no answer at all"),
            Err(trouble) => return Err(trouble).context("in a head"),
        };
        match peer.body_of_answer(&mut answer, &attack.request.start[0]) {
            Ok(()) if (100..200).contains(&answer.status()) => {
                ensure!(answer.status() != 101, "a switch that nobody asked for");
            }
            Ok(()) => return Ok(Came::Whole(answer)),
            Err(Trouble::Ended) => return Ok(Came::Cut(Some(answer))),
            Err(trouble) => return Err(trouble).with_context(|| format!("{answer:?}")),
        }
    }
}

fn about(number: usize, attack: &Attack) -> String {
    let said = attack.said.escape_ascii();
    let ending = attack.ending;
    format!(
        "attack {number} of seed {}, then {ending:?}: {said}",
        seed()
    )
}

fn shown(came: &Came) -> String {
    match came {
        Came::Whole(message) => format!("this came:\n{message:?}"),
        Came::Cut(Some(message)) => format!("this came, and an end:\n{message:?}"),
        Came::Cut(None) => "nothing came".to_owned(),
    }
}

/// The streams of one client in HTTP/2. Its connection outlives whatever becomes of one of them.
#[tokio::main(flavor = "current_thread")]
async fn ask_in_h2(
    attacks: &Arc<Vec<Attack>>,
    mine: &[usize],
    port: u16,
    ends: &Arc<Ends>,
) -> Result<()> {
    let client = h2::Client::connect(port).await?;
    let mut streams = JoinSet::new();
    for start in 0..STREAMS {
        let mut client = client.clone();
        let mine: Vec<usize> = mine.iter().copied().skip(start).step_by(STREAMS).collect();
        let (attacks, ends) = (attacks.clone(), ends.clone());
        streams.spawn(async move {
            for number in mine {
                let attack = &attacks[number];
                let about = || about(number, attack);
                let answer = tokio::time::timeout(LONGEST, client.ask(&attack.request)).await;
                let came = match answer.with_context(about)? {
                    Ok(answer) => Came::Whole(answer),
                    Err(error) if client.is_over() => return Err(error).with_context(about),
                    Err(_) => Came::Cut(None),
                };
                judge(&attacks, attack, &came, &ends)
                    .with_context(|| shown(&came))
                    .with_context(about)?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(stream) = streams.join_next().await {
        stream??;
    }
    Ok(())
}

/// What a backend does with a request: it looks whether it is the one that was sent, and says what it is to say.
fn answers(attacks: Arc<Vec<Attack>>, wrong: Arc<Mutex<Vec<String>>>) -> Arc<Answers> {
    Arc::new(move |peer, mut request| {
        let number = request.number().expect("it was looked at") as usize;
        let attack = &attacks[number];
        let read = peer.body_of_request(&mut request);
        let is_it = read.is_ok()
            && request.start == attack.request.start
            && request.get("x-mark") == Some(&attack.mark[..])
            && request.body == attack.request.body;
        if !is_it {
            let what = format!("{}\nwas asked for by\n{request:?}", about(number, attack));
            wrong.lock().expect("nobody panics with it").push(what);
        }
        // One write: what follows an answer is there with it, and is never the next one's.
        let written = peer.write(&attack.said).is_ok();
        match attack.ending {
            Ending::Stays if written => After::Next,
            Ending::Stays | Ending::Ends => After::End,
            Ending::Reset => After::Reset,
            Ending::Silent => {
                peer.has_ended();
                After::End
            }
        }
    })
}

#[test]
fn backends_that_answer_nonsense() -> Result<()> {
    let count: usize = if is_long() { 5000 } else { 500 };
    let attacks: Vec<_> = (0..count).map(|n| attack(seed(), n as u32)).collect();
    let attacks = Arc::new(attacks);
    let wrong = Arc::default();
    let lbdev = Lbdev::new();
    let (first, listen) = (lbdev.ports.first, lbdev.ports.listen());
    let backends = [first, first + 1]
        .map(|port| Backend::start(port, answers(attacks.clone(), Arc::clone(&wrong))));
    lbdev.write(
        "lbdev.toml",
        &format!(
            "[balancer]\nlisten = \"localhost:{listen}\"\n\
             timeouts = {{ backend_head = \"{TIMEOUTS}\", body = \"{TIMEOUTS}\" }}\n\n\
             [services.web]\nexternal = [\"127.0.0.1:{first}\", \"127.0.0.1:{}\"]\n",
            first + 1
        ),
    );
    let mut up = lbdev.start(&["up"]);
    up.wait_line("lbdev: ready ", s(60));

    let ends = Arc::new(Ends::default());
    let began = Instant::now();
    std::thread::scope(|scope| {
        let share =
            |start: usize, step: usize| -> Vec<usize> { (start..count).step_by(step).collect() };
        let (all, attacks, ends) = (CLIENTS + 1, &attacks, &ends);
        let mut clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || ask(attacks, &share(client, all), listen, ends)))
            .collect();
        let of_h2 = move || ask_in_h2(attacks, &share(CLIENTS, all), listen, ends);
        clients.push(scope.spawn(of_h2));
        let mut results = clients.into_iter().map(|client| client.join());
        results.try_for_each(|result| result.expect("it does not panic"))
    })?;
    let took = began.elapsed();
    println!("{count} answers in {took:?}: {ends:?}");
    assert!(is_long() || took < s(20), "{took:?}");

    let wrong = wrong.lock().expect("nobody panics with it");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let count_of = |ends: &AtomicUsize| ends.load(Ordering::Relaxed);
    let told = [&ends.whole, &ends.pages, &ends.cut].map(count_of);
    assert!(
        told.iter().all(|&it| it > count / 20),
        "not of all kinds: {ends:?}"
    );

    // It lives, and owes nobody anything.
    assert!(up.runs(), "it has ended: {}", up.lines.transcript());
    let said = up.lines.transcript();
    assert!(!said.contains("panicked"), "{said}");
    until(s(10), "nothing was in flight", || {
        let status = lbdev.status();
        let rows = status["backends"].as_array().into_iter().flatten();
        rows.filter_map(|row| row["in_flight"].as_u64())
            .sum::<u64>()
            == 0
    });
    let kind = attacks
        .iter()
        .enumerate()
        .filter(|(_, attack)| attack.is_kind);
    let kind: Vec<usize> = kind.map(|(number, _)| number).collect();
    ask(&attacks, &kind, listen, &ends)?;
    lbdev.run(&["down"]).ok();
    drop(backends);
    Ok(())
}
