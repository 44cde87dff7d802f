//! Pure: no sockets. See `proxy/tests/sticky.rs` for those.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::backend::{RunId, Slot};
use crate::config::{Balancer, Route};

const KEY: [u8; 32] = [7; 32];

fn member(index: usize, tweak: impl FnOnce(&mut Member)) -> Arc<Member> {
    let mut member = Member::well(index);
    tweak(&mut member);
    Arc::new(member)
}

fn pools(services: &[&str]) -> Pools {
    let of = |service: &&str| (Arc::from(*service), vec![Route::Prefix("/".into())]);
    let pools = Pools::new(services.iter().map(of), &Balancer::default());
    pools.all()[0].publish((0..3).map(|index| member(index, |_| {})).collect());
    pools
}

fn cookies(pools: &Pools) -> Cookies {
    Cookies::new("site", StickyKey::new(&KEY), pools)
}

fn request(cookies: &[&[u8]]) -> Fields {
    let mut headers = hyper::HeaderMap::new();
    for cookie in cookies {
        let cookie = hyper::header::HeaderValue::from_bytes(cookie).unwrap();
        headers.append("cookie", cookie);
    }
    Fields::from_map(&headers)
}

fn code(index: u16) -> String {
    StickyKey::new(&KEY).code(&BackendId::new("web", Slot::Port(8000 + index)))
}

#[test]
fn codes_depend_on_key_service_and_backend() {
    let web = |port| BackendId::new("web", Slot::Port(port));
    let key = StickyKey::new(&KEY);
    assert_eq!(key.code(&web(8000)).len(), 22);
    assert_eq!(key.code(&web(8000)), key.code(&web(8000)));
    for other in [web(8001), BackendId::new("api", Slot::Port(8000))] {
        assert_ne!(key.code(&other), key.code(&web(8000)));
    }
    assert_ne!(
        StickyKey::new(&[8; 32]).code(&web(8000)),
        key.code(&web(8000))
    );
}

#[test]
fn names() {
    let names = |project: &str, services: &[&str]| -> Vec<String> {
        let cookies = Cookies::new(project, StickyKey::new(&KEY), &pools(services));
        let each = services.iter().enumerate();
        each.map(|(place, service)| cookies.name(place, service).to_string())
            .collect()
    };
    assert_eq!(names("my-site", &["web"]), ["lbdev_my-site"]);
    assert_eq!(names("a", &["web", "api"]), ["lbdev_a.web", "lbdev_a.api"]);
    assert_eq!(names("a b;=ü", &["web"]), ["lbdev_a%20b%3B%3D%C3%BC"]);
    // Others come later: nobody loses the backend that he has.
    let alone = Cookies::new("a", StickyKey::new(&KEY), &pools(&["web"]));
    assert_eq!(&*alone.name(1, "api"), "lbdev_a.api");
    assert_eq!(&*alone.name(0, "web"), "lbdev_a");
}

#[test]
fn who_is_found() {
    let pools = pools(&["web"]);
    let cookies = cookies(&pools);
    let [zero, one] = [code(0), code(1)].map(|code| format!("lbdev_site={code}"));
    let forged = StickyKey::new(&[8; 32]).code(&BackendId::new("web", Slot::Port(8000)));
    let forged = format!("lbdev_site={forged}");
    let mut flipped = zero.clone().into_bytes();
    flipped[15] ^= 1;
    let shorter = &one.as_bytes()[..one.len() - 1];
    let long = format!("{}; {one}; a=b", "x=y; ".repeat(1600));
    let both = format!("{one}; {zero}");
    let spaced = format!("a=\"b\";  {one} ;c");
    let (elsewhere, longer) = (code(0), format!("{one}A"));
    let elsewhere = format!("lbdev_other={elsewhere}");
    for (fields, expected) in [
        (&[][..], Sticks::Not),
        (&[zero.as_bytes()], Sticks::To(0)),
        (&[spaced.as_bytes()], Sticks::To(1)),
        (&[both.as_bytes()], Sticks::To(1)),
        (&[b"a=b", zero.as_bytes(), one.as_bytes()], Sticks::To(0)),
        (&[forged.as_bytes()], Sticks::Not),
        (&[&flipped], Sticks::Not),
        (&[shorter], Sticks::Not),
        (&[longer.as_bytes()], Sticks::Not),
        (&[elsewhere.as_bytes()], Sticks::Not),
        (&[b"lbdev_site=", one.as_bytes()], Sticks::To(1)),
        (&[b"lbdev_site"], Sticks::Not),
        (&[b"\xff\xfe=\x80; lbdev_site=\xff"], Sticks::Not),
        (&[long.as_bytes()], Sticks::To(1)),
    ] {
        let headers = request(fields);
        assert_eq!(
            cookies.find(0, &pools.all()[0], &headers),
            expected,
            "{headers:?}"
        );
    }
}

#[test]
fn a_backend_that_cannot_be_had_is_none() {
    let pools = pools(&["web"]);
    let cookies = cookies(&pools);
    let pool = &pools.all()[0];
    let headers = request(&[format!("lbdev_site={}", code(1)).as_bytes()]);
    let check = |tweak: fn(&mut Member), expected| {
        pool.publish(vec![member(0, |_| {}), member(1, tweak)]);
        assert_eq!(cookies.find(0, pool, &headers), expected);
    };
    check(|_| {}, Sticks::To(1));
    check(|one| one.eligible = false, Sticks::Not);
    let drained: fn(&mut Member) = |one| (one.eligible, one.stays) = (false, true);
    check(drained, Sticks::To(1));
    check(|one| one.life.drain(), Sticks::Not);
    check(|one| one.run = Some(RunId::FIRST.next()), Sticks::To(1));
    // Another backend at its place has another code.
    check(
        |one| one.id = BackendId::new("web", Slot::Port(9000)),
        Sticks::Not,
    );
    pool.publish(vec![member(0, |_| {})]);
    assert_eq!(cookies.find(0, pool, &headers), Sticks::Not);
}

#[test]
fn what_is_set_is_found() {
    let pools = pools(&["web", "api"]);
    let cookies = cookies(&pools);
    let mut fields = crate::proxy::fields::tests::fields("Set-Cookie: sessionid=1\r\n");
    cookies.set(0, &member(2, |_| {}), &mut fields);
    let set: Vec<&str> = fields
        .iter()
        .map(|(name, value)| {
            assert_eq!(name, b"Set-Cookie");
            std::str::from_utf8(value).unwrap()
        })
        .collect();
    assert_eq!(set[0], "sessionid=1");
    let (pair, rest) = set[1].split_once("; ").unwrap();
    assert_eq!(rest, "Path=/; HttpOnly; SameSite=Lax");
    assert!(pair.starts_with("lbdev_site.web="), "{pair}");
    let headers = request(&[pair.as_bytes()]);
    assert_eq!(cookies.find(0, &pools.all()[0], &headers), Sticks::To(2));
    assert_eq!(cookies.find(1, &pools.all()[1], &headers), Sticks::Not);
}

proptest! {
    /// Whatever a client sends, it gets a backend only by that backend's own code.
    #[test]
    fn any_cookie_bytes(
        pieces in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>().prop_filter("a field's", |b| *b >= 32 && *b != 127), 0..30),
                Just(b"lbdev_site=".to_vec()),
                Just(b"; ".to_vec()),
                (0..4u16, 0..23usize).prop_map(|(index, cut)| code(index).as_bytes()[..cut.min(22)].to_vec()),
            ],
            0..8,
        ),
    ) {
        let pools = pools(&["web"]);
        let field = pieces.concat();
        let found = cookies(&pools).find(0, &pools.all()[0], &request(&[&field]));
        let true_pair = |index: usize| {
            let pair = format!("lbdev_site={}", code(u16::try_from(index).unwrap()));
            field.split(|byte| *byte == b';').any(|part| part.trim_ascii() == pair.as_bytes())
        };
        match found {
            Sticks::To(index) => prop_assert!(index < 3 && true_pair(index)),
            Sticks::Not => prop_assert!(!(0..3).any(true_pair)),
            Sticks::Off => prop_assert!(false, "nobody turned it off"),
        }
    }
}
