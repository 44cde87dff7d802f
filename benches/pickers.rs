//! Who is next, by each algorithm, among 4 and among 64 backends.

// A bench may unwrap; criterion's macros write public functions without words.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use lbdev::balance::{
    Candidate, Latency, LeastConn, PeakEwma, Ring, RoundRobin, place, random_two,
};

fn pickers(criterion: &mut Criterion) {
    for count in [4, 64] {
        let mut group = criterion.benchmark_group(format!("pick one of {count}"));
        // Loads that differ, so that not everything is a tie.
        let all: Vec<Candidate> = (0..count)
            .map(|index| Candidate {
                index,
                weight: 1,
                in_flight: index as u32 * 7 % 5,
            })
            .collect();
        let shares = || all.iter().map(|one| (one.index, one.weight));

        let mut picker = RoundRobin::default();
        group.bench_function("round_robin", |bencher| {
            bencher.iter(|| picker.next(black_box(shares()), |_| false).unwrap());
        });
        let mut picker = LeastConn::default();
        group.bench_function("least_conn", |bencher| {
            bencher.iter(|| {
                picker
                    .next(black_box(all.iter().copied()), |_| false)
                    .unwrap()
            });
        });
        let mut state = 1_u64;
        let mut dice = move |sides: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % sides
        };
        group.bench_function("random_two", |bencher| {
            bencher
                .iter(|| random_two(black_box(all.iter().copied()), |_| false, &mut dice).unwrap());
        });
        let latencies: Vec<Latency> = (1..=count as u64)
            .map(|each| {
                let latency = Latency::default();
                latency.observe(Duration::from_micros(each * 100), Duration::ZERO);
                latency
            })
            .collect();
        let now = Duration::from_secs(1);
        let mut picker = PeakEwma::default();
        group.bench_function("peak_ewma", |bencher| {
            bencher.iter(|| {
                let costs = all.iter().map(|one| (*one, latencies[one.index].at(now)));
                picker.next(black_box(costs), |_| false).unwrap()
            });
        });
        let ring = Ring::new(shares());
        group.bench_function("hash", |bencher| {
            bencher.iter(|| ring.next(place(black_box(b"/notes/17")), |_| true).unwrap());
        });
        group.finish();
    }
}

criterion_group!(benches, pickers);
criterion_main!(benches);
