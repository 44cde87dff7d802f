//! What every algorithm keeps to.

use proptest::prelude::*;

use super::*;

/// What is known of one backend.
#[derive(Debug, Clone)]
struct Facts {
    eligible: bool,
    backup: bool,
    weight: u32,
    ramping: bool,
    limit: u32,
    busy: u32,
    tried: bool,
    latency: Option<u64>,
}

fn facts() -> impl Strategy<Value = Facts> {
    let of_backend = (any::<bool>(), any::<bool>(), 0u32..4, any::<bool>());
    let of_traffic = (
        0u32..3,
        0u32..4,
        prop::bool::weighted(0.3),
        prop::option::of(1u64..500),
    );
    (of_backend, of_traffic).prop_map(
        |((eligible, backup, weight, ramping), (limit, busy, tried, latency))| Facts {
            eligible,
            backup,
            weight,
            ramping,
            limit,
            busy: if limit > 0 { busy.min(limit) } else { busy },
            tried,
            latency,
        },
    )
}

proptest! {
    /// Whatever the backends: a pick is eligible, of a share above 0, not tried, with room, and a backup only where nobody
    /// else is such; and there is one while anybody is such.
    #[test]
    fn only_who_may_be_picked_is(all in prop::collection::vec(facts(), 0..7), keys in any::<[u64; 4]>()) {
        for &(name, algorithm) in Algorithm::NAMES {
            let pools = web_by(algorithm, &[]);
            let pool = &pools.all()[0];
            let now = Instant::now();
            let mut tried = Tried::default();
            let mut held = Vec::new();
            let members: Vec<Arc<Member>> = all.iter().enumerate().map(|(index, facts)| {
                let one = but(&member(index, facts.eligible), |one| {
                    one.backup = facts.backup;
                    one.weight = facts.weight;
                    one.share = facts.weight * if facts.ramping { 3 } else { 10 };
                    one.max_connections = facts.limit;
                });
                held.extend((0..facts.busy).map(|_| Lease::take(&one, now, Chosen::Stuck).unwrap()));
                if let Some(latency) = facts.latency {
                    let lease = but(&one, |one| one.max_connections = 0);
                    let lease = Lease::take(&lease, now, Chosen::Stuck).unwrap();
                    lease.answered(200, now + Duration::from_millis(latency));
                }
                if facts.tried {
                    tried.add(&one);
                }
                one
            }).collect();
            pool.publish(members);
            let may = |facts: &Facts| {
                let has_room = facts.limit == 0 || facts.busy < facts.limit;
                facts.eligible && facts.weight > 0 && has_room && !facts.tried
            };
            let for_backups = !all.iter().any(|facts| may(facts) && !facts.backup);
            let turns = keys.into_iter().flat_map(|key| [Turn::Next, Turn::Key(key)]);
            for turn in turns {
                match pool.pick(turn, &tried) {
                    Some(lease) => {
                        let picked = &all[lease.member().index];
                        prop_assert!(may(picked) && picked.backup == for_backups, "{name}, {turn:?}: {picked:?}");
                    }
                    None => prop_assert!(!all.iter().any(may), "{name}, {turn:?}: nobody"),
                }
            }
        }
    }
}

/// A slow start makes shares smaller; rings go by the weight, so that no key moves for it.
#[test]
fn a_slow_start_is_a_smaller_share() {
    let ramping = |step: u32| -> Vec<Arc<Member>> {
        let share = move |index| if index == 0 { step } else { 10 };
        let set = |index: usize| but(&member(index, true), |one| one.share = share(index));
        (0..3).map(set).collect()
    };
    let pools = web(&[]);
    let pool = &pools.all()[0];
    for step in [1, 5, 10] {
        pool.publish(ramping(step));
        let seen = picks(pool, &vec![Turn::Next; 20 + step as usize]);
        let got = seen.iter().filter(|&&index| index == 0).count();
        assert_eq!(got, step as usize, "{seen:?}");
    }
    let pools = web_by(Algorithm::Hash, &[]);
    let pool = &pools.all()[0];
    let keys: Vec<Turn> = (0..60u8).map(|n| Turn::Key(place(&[n]))).collect();
    pool.publish(ramping(1));
    let early = picks(pool, &keys);
    pool.publish(ramping(10));
    assert_eq!(picks(pool, &keys), early);
}

/// One backend answers in 250 ms, three in 10 ms; ten clients, each of which sends its next request at once. Time is counted,
/// not waited for.
#[test]
fn who_is_slow_gets_little_by_load_and_by_latency() {
    let run = |algorithm: Algorithm| -> (f64, usize) {
        let pools = web_by(algorithm, &[true; 4]);
        let pool = &pools.all()[0];
        let start = Instant::now();
        let mut flights: Vec<(Instant, Lease)> = Vec::new();
        let mut got = [0usize; 4];
        let mut send = |now: Instant, flights: &mut Vec<_>| {
            let lease = pool.pick_first(Turn::Next, now).unwrap();
            let index = lease.member().index;
            got[index] += 1;
            let takes = if index == 0 { 250 } else { 10 };
            flights.push((now + Duration::from_millis(takes), lease));
        };
        for client in 0..10 {
            send(start + Duration::from_micros(client), &mut flights);
        }
        loop {
            let ends = flights.iter().enumerate().min_by_key(|(_, one)| one.0);
            let next = ends.map(|(place, _)| place).unwrap();
            let (now, lease) = flights.swap_remove(next);
            if now > start + Duration::from_secs(10) {
                break;
            }
            lease.answered(200, now);
            drop(lease);
            send(now, &mut flights);
        }
        let all: usize = got.iter().sum();
        (got[0] as f64 / all as f64, all)
    };
    let (slow, base) = run(Algorithm::RoundRobin);
    assert!((0.24..0.26).contains(&slow), "{slow}");
    for algorithm in [Algorithm::LeastConn, Algorithm::PeakEwma] {
        let (slow, all) = run(algorithm);
        assert!(slow < 0.05, "{algorithm:?}: {slow}");
        assert!(all > base * 3, "{algorithm:?}: {all} of {base}");
    }
}

#[test]
fn failures_count_by_their_reason() {
    let pools = web(&[true]);
    let pool = &pools.all()[0];
    let lease = pool.pick(Turn::Next, &Tried::default()).unwrap();
    let tally = &lease.member().tally;
    for failure in [
        AttemptFailure::Reset,
        AttemptFailure::Reset,
        AttemptFailure::CutBody,
    ] {
        pool.failed(&lease, failure);
    }
    assert_eq!(tally.failures(), 3);
    let by: Vec<_> = tally.failures_by().collect();
    assert_eq!(by, [("reset", 2), ("cut_body", 1)]);
}
