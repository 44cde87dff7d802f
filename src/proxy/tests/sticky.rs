use std::sync::Arc;

use super::*;
use crate::balance::{Algorithm, Sticky};

/// Set-Cookie of an answer, checked as a whole, as what the client sends back.
fn cookie_of(answer: &str) -> Option<String> {
    let set = field(answer, "set-cookie")?;
    let (pair, rest) = set.split_once("; ").unwrap();
    assert_eq!(rest, "Path=/; HttpOnly; SameSite=Lax");
    assert!(pair.starts_with("lbdev_site="), "{pair}");
    Some(pair.to_owned())
}

fn backend_of(answer: &str) -> &str {
    field(answer, "x-lbdev-backend").unwrap_or_else(|| panic!("nobody: {answer}"))
}

impl Front {
    async fn get_with(&self, path: &str, fields: &str) -> String {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}Connection: close\r\n\r\n");
        self.ask(&request).await
    }

    async fn get_as(&self, cookie: &str) -> String {
        self.get_with("/", &format!("Cookie: {cookie}\r\n")).await
    }

    fn live(&self, tweak: impl FnOnce(&mut crate::config::Live)) {
        let mut live = (**self.pools.live()).clone();
        tweak(&mut live);
        self.pools.set_live(live);
    }
}

async fn three() -> ([Stub; 3], Front) {
    let stubs = [
        answering(OK).await,
        answering(OK).await,
        answering(OK).await,
    ];
    let front = front_with(
        &[stubs[0].address, stubs[1].address, stubs[2].address],
        |s| {
            s.live.sticky = Sticky::Cookie;
        },
    );
    (stubs, front)
}

#[tokio::test]
async fn a_client_stays_and_others_go_round() {
    let (_stubs, front) = three().await;
    let first = front.get("/").await;
    let cookie = cookie_of(&first).unwrap();
    for _ in 0..7 {
        let answer = front.get_as(&format!("a=b; {cookie}; c=d")).await;
        assert_eq!(backend_of(&answer), backend_of(&first));
        assert_eq!(field(&answer, "set-cookie"), None, "it has it already");
    }
    let mut others = Vec::new();
    for _ in 0..3 {
        let answer = front.get("/").await;
        assert!(cookie_of(&answer).is_some_and(|own| own != cookie || others.len() == 2));
        others.push(backend_of(&answer).to_owned());
    }
    assert_eq!(others, ["web:8001", "web:8002", "web:8000"]);
}

#[tokio::test]
async fn what_is_not_true_is_ignored_and_replaced() {
    let (_stubs, front) = three().await;
    let cookie = cookie_of(&front.get("/").await).unwrap();
    let tampered = format!("{}x", &cookie[..cookie.len() - 1]);
    let other_key = {
        let bound = bind(&settings().listen, 1).unwrap();
        let address = bound.addresses()[0];
        let lent = Lent {
            sticky_key: StickyKey::new(&[9; 32]),
            ..lent()
        };
        let pools = front.pools.clone();
        let proxy = start(
            Arc::new(settings()),
            bound,
            pools.clone(),
            Arc::default(),
            lent,
        );
        let other = Front {
            address,
            pools,
            access: Arc::default(),
            proxy: proxy.unwrap(),
        };
        cookie_of(&other.get("/").await).unwrap()
    };
    let long = format!("lbdev_site={}", "A".repeat(8000));
    for wrong in [
        tampered.as_str(),
        &other_key,
        "lbdev_site=",
        "lbdev_site",
        "lbdev_site=web:8000",
        "lbdev_site=\u{fc}\u{2713}",
        &long,
    ] {
        let answer = front.get_as(wrong).await;
        assert_eq!(status(&answer), 200);
        let anew = cookie_of(&answer).unwrap();
        let again = front.get_as(&anew).await;
        assert_eq!(backend_of(&again), backend_of(&answer), "{wrong}");
        // A wrong one beside a true one does no harm.
        let again = front.get_as(&format!("{wrong}; {anew}")).await;
        assert_eq!(backend_of(&again), backend_of(&answer), "{wrong}");
    }
}

#[tokio::test]
async fn after_a_failover_the_client_belongs_to_who_answered() {
    let (alive, dead) = (answering(OK).await, answering(OK).await);
    let front = front_with(&[dead.address, alive.address], |s| {
        s.live.sticky = Sticky::Cookie;
    });
    let cookie = cookie_of(&front.get("/").await).unwrap();
    assert_eq!(backend_of(&front.get_as(&cookie).await), "web:8000");
    // Nobody told the pool: the request finds out.
    front.pool().publish(members(
        &[nobody().await, alive.address],
        RunId::FIRST.next(),
    ));
    let answer = front.get_as(&cookie).await;
    assert_eq!(backend_of(&answer), "web:8001");
    assert_eq!(field(&answer, "x-lbdev-attempts"), Some("2"));
    let anew = cookie_of(&answer).unwrap();
    assert_ne!(anew, cookie);
    // The old one is of a backend that is not to be had now; when it is again, the code is as true as before.
    let answer = front.get_as(&cookie).await;
    assert_eq!(cookie_of(&answer), Some(anew.clone()));
    front
        .pool()
        .publish(members(&[dead.address, alive.address], RunId::FIRST.next()));
    assert_eq!(backend_of(&front.get_as(&cookie).await), "web:8000");
    assert_eq!(backend_of(&front.get_as(&anew).await), "web:8001");
}

#[tokio::test]
async fn a_drain_keeps_who_sticks() {
    let (stubs, front) = three().await;
    let cookie = cookie_of(&front.get("/").await).unwrap();
    let drained = |stays: bool| {
        let addresses = [0, 1, 2].map(|index: usize| stubs[index].address);
        let mut members = members(&addresses, RunId::FIRST);
        let one = Arc::make_mut(&mut members[0]);
        (one.eligible, one.stays, one.phase) = (false, stays, Phase::Draining);
        members
    };
    front.pool().publish(drained(true));
    for _ in 0..4 {
        assert_eq!(backend_of(&front.get_as(&cookie).await), "web:8000");
        assert_ne!(backend_of(&front.get("/").await), "web:8000");
    }
    front.pool().publish(drained(false));
    let answer = front.get_as(&cookie).await;
    assert_ne!(backend_of(&answer), "web:8000");
    assert!(cookie_of(&answer).is_some_and(|anew| anew != cookie));
}

#[tokio::test]
async fn it_is_switched_while_it_serves() {
    let (_stubs, front) = three().await;
    let cookie = cookie_of(&front.get("/").await).unwrap();
    front.live(|live| live.sticky = Sticky::Off);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = front.get_as(&cookie).await;
        assert_eq!(field(&answer, "set-cookie"), None);
        seen.push(backend_of(&answer).to_owned());
    }
    assert_eq!(seen, ["web:8001", "web:8002", "web:8000"]);
    front.live(|live| live.sticky = Sticky::Cookie);
    for _ in 0..3 {
        assert_eq!(backend_of(&front.get_as(&cookie).await), "web:8000");
    }
}

#[tokio::test]
async fn a_page_sets_it_and_what_it_loads_comes_from_there() {
    let (_stubs, front) = three().await;
    let agent = "User-Agent: x\r\n";
    front.get("/").await;
    let page = front
        .get_with("/", &format!("{agent}Sec-Fetch-Dest: document\r\n"))
        .await;
    assert_eq!(backend_of(&page), "web:8001");
    // Asked for before the page's cookie was there.
    let style = front
        .get_with("/a.css", &format!("{agent}Sec-Fetch-Dest: style\r\n"))
        .await;
    assert_eq!(backend_of(&style), "web:8001");
    assert_eq!(cookie_of(&style), cookie_of(&page));
    let cookie = cookie_of(&page).unwrap();
    let fields = format!("{agent}Sec-Fetch-Dest: document\r\nCookie: {cookie}\r\n");
    let next = front.get_with("/", &fields).await;
    assert_eq!(backend_of(&next), "web:8001");
}

#[tokio::test]
async fn it_comes_before_a_hash() {
    let (stubs, round) = three().await;
    let hashed = front_with(&[0, 1, 2].map(|index: usize| stubs[index].address), |s| {
        s.live.sticky = Sticky::Cookie;
        s.live.algorithm = Algorithm::IpHash;
    });
    let home = hashed.get("/").await;
    // The same key, so the same cookies.
    for _ in 0..3 {
        let answer = round.get("/").await;
        let stays = hashed.get_as(&cookie_of(&answer).unwrap()).await;
        assert_eq!(backend_of(&stays), backend_of(&answer));
    }
    assert_eq!(backend_of(&hashed.get("/").await), backend_of(&home));
}

#[tokio::test]
async fn the_applications_own_cookies_stay() {
    let stub =
        answering("HTTP/1.1 200 OK\r\nSet-Cookie: sessionid=1\r\nContent-Length: 2\r\n\r\nok")
            .await;
    let front = front_with(&[stub.address], |s| s.live.sticky = Sticky::Cookie);
    let answer = front.get("/").await;
    assert_eq!(field(&answer, "set-cookie"), Some("sessionid=1"));
    let own = answer
        .lines()
        .filter(|line| line.contains("lbdev_site="))
        .count();
    assert_eq!(own, 1, "{answer}");
    front.get_as("sessionid=1; lbdev_site=x").await;
    let sent = stub.heads().pop().unwrap();
    assert_eq!(field(&sent, "cookie"), Some("sessionid=1; lbdev_site=x"));
}

#[tokio::test]
async fn without_a_backend_it_waits_as_others_do() {
    let stub = answering(OK).await;
    let front = front_with(&[stub.address], |s| s.live.sticky = Sticky::Cookie);
    let cookie = cookie_of(&front.get("/").await).unwrap();
    let down = |eligible: bool| {
        let mut members = members(&[stub.address], RunId::FIRST);
        Arc::make_mut(&mut members[0]).eligible = eligible;
        members
    };
    front.pool().publish(down(false));
    let mut stream = front.connect().await;
    let request =
        format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    eventually(|| front.pool().waiting() == 1).await;
    front.pool().publish(down(true));
    let answer = read_all(&mut stream).await;
    assert_eq!(backend_of(&answer), "web:8000");
}

#[tokio::test]
async fn lbdevs_own_answers_set_none() {
    let front = front_with(&[nobody().await], |s| {
        s.live.sticky = Sticky::Cookie;
        s.queue_timeout = Duration::from_millis(50);
    });
    let answer = front.get("/").await;
    assert_eq!(field(&answer, "set-cookie"), None, "{answer}");
    assert!(matches!(status(&answer), 502 | 503), "{answer}");
}
