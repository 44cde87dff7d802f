//! Many threads at one pool.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use super::limits::{limited, with_limits};
use super::*;

#[test]
fn no_limit_is_ever_exceeded_whoever_asks() {
    for &(name, algorithm) in Algorithm::NAMES {
        let limits = [1, 2, 5];
        let pools = limited(algorithm, &limits);
        let pool = &pools.all()[0];
        let held: [AtomicU32; 3] = Default::default();
        let most: [AtomicU32; 3] = Default::default();
        std::thread::scope(|threads| {
            for thread in 0..6u8 {
                let (held, most) = (&held, &most);
                threads.spawn(move || {
                    let mut leases = std::collections::VecDeque::new();
                    for n in 0..2000u32 {
                        let key = place(&[thread, (n % 251) as u8]);
                        let turn = [Turn::Next, Turn::Key(key), Turn::Stuck(n as usize % 3)]
                            [n as usize % 3];
                        if let Some(lease) = pool.pick_first(turn, Instant::now()) {
                            let index = lease.member().index;
                            let now = held[index].fetch_add(1, Ordering::SeqCst) + 1;
                            most[index].fetch_max(now, Ordering::SeqCst);
                            assert!(now <= limits[index], "{name}: {now} at {index}");
                            leases.push_back(lease);
                        }
                        if leases.len() > usize::from(thread) % 3
                            && let Some(lease) = leases.pop_front()
                        {
                            held[lease.member().index].fetch_sub(1, Ordering::SeqCst);
                            drop(lease);
                        }
                    }
                    for lease in leases {
                        held[lease.member().index].fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        for (index, member) in pool.snapshot().members.iter().enumerate() {
            assert_eq!(member.life.in_flight(), 0, "{name}");
            assert!(most[index].load(Ordering::SeqCst) > 0, "{name}: {index}");
        }
    }
}

/// One request ends at the moment another one begins to wait for it: one of the two sees the other, each time.
#[test]
fn no_end_is_missed() {
    const ROUNDS: usize = 20_000;
    const OVER: usize = usize::MAX;
    let pools = limited(Algorithm::RoundRobin, &[1]);
    let pool = &pools.all()[0];
    // Both threads go at the same time, to within what it takes to see the number of the round.
    let (round, held) = (AtomicUsize::new(0), Mutex::new(None::<Lease>));
    let missed = std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut seen = 0;
            loop {
                let now = round.load(Ordering::SeqCst);
                if now == OVER {
                    break;
                }
                if now == seen {
                    std::thread::yield_now();
                    continue;
                }
                seen = now;
                let lease = held.lock().unwrap().take();
                for _ in 0..now % 97 {
                    std::hint::spin_loop();
                }
                drop(lease);
            }
        });
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        let none = Tried::default();
        let mut missed = None;
        for now in 1..=ROUNDS {
            *held.lock().unwrap() = pool.choose(Turn::Next, &none, Instant::now());
            round.store(now, Ordering::SeqCst);
            let wait = pool.wait(Turn::Next, &none, Duration::from_secs(20));
            if runtime.block_on(wait).is_err() {
                missed = Some(now);
                break;
            }
        }
        round.store(OVER, Ordering::SeqCst);
        missed
    });
    assert_eq!(missed, None);
}

/// Threads that take, wait and give back, while others publish and choose other algorithms: nobody waits for ever, and
/// nothing is left over.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_is_forgotten() {
    let mut settings = Balancer {
        queue_max: 10_000,
        ..Balancer::default()
    };
    settings.live.algorithm = Algorithm::RoundRobin;
    let route = vec![Route::Prefix("/".into())];
    let pools = Arc::new(Pools::new([(Arc::from("web"), route)], &settings));
    let pool = pools.all()[0].clone();
    let members = with_limits(&[1, 2, 1]);
    pool.publish(members.clone());
    let done = Arc::new(AtomicBool::new(false));
    let changes = std::thread::spawn({
        let (pools, done, members) = (pools.clone(), done.clone(), members.clone());
        move || {
            for round in 0.. {
                if done.load(Ordering::SeqCst) {
                    break;
                }
                let mut live = settings.live.clone();
                live.algorithm = Algorithm::NAMES[round % Algorithm::NAMES.len()].1;
                pools.set_live(live);
                let up = |one: &Arc<Member>| {
                    let eligible = !(round + one.index).is_multiple_of(3);
                    but(one, |one| one.eligible = eligible)
                };
                pools.all()[0].publish(members.iter().map(up).collect());
                std::thread::yield_now();
            }
        }
    });
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..40u8 {
        let pool = pool.clone();
        clients.spawn(async move {
            for n in 0..100u8 {
                let turn = match n % 3 {
                    0 => Turn::Key(place(&[client, n])),
                    1 => Turn::Stuck(usize::from(n) % 4),
                    _ => Turn::Next,
                };
                let lease = match pool.pick_first(turn, Instant::now()) {
                    Some(lease) => lease,
                    None => pool
                        .wait(turn, &Tried::default(), Duration::from_secs(60))
                        .await
                        .unwrap(),
                };
                let max = lease.member().max_connections;
                assert!(lease.member().life.in_flight() <= max);
                if n % 5 == 0 {
                    tokio::task::yield_now().await;
                }
                lease.answered(200, Instant::now());
            }
        });
    }
    while let Some(one) = clients.join_next().await {
        one.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    changes.join().unwrap();
    assert_eq!(pool.waiting(), 0);
    assert!(members.iter().all(|one| one.life.in_flight() == 0));
    let answered: u64 = members.iter().map(|one| one.tally.requests()).sum();
    assert_eq!(answered, 4000);
}
