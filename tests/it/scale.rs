//! More backends and fewer, while the page goes on.

use crate::harness::Lbdev;
use crate::load::Load;
use crate::ports::is_free;
use crate::wait::{s, until};

fn ports(lbdev: &Lbdev) -> Vec<u64> {
    let status = lbdev.status();
    let rows = status["backends"].as_array().unwrap().iter();
    rows.map(|row| row["port"].as_u64().unwrap()).collect()
}

#[test]
fn more_and_fewer_under_load_and_nothing_is_lost() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let four = ports(&lbdev);
    let load = Load::start(lbdev.ports.listen(), "/", 200, 16);
    load.run_for(100, s(60));
    lbdev.run(&["scale", "6"]).ok();
    let six = ports(&lbdev);
    assert_eq!((six.len(), &six[..4]), (6, &four[..]));
    assert!(six.is_sorted(), "{six:?}");
    // The new ones have their turns.
    until(s(60), "the new ones answer", || {
        let status = lbdev.status();
        let rows = status["backends"].as_array().unwrap();
        rows.iter()
            .all(|row| row["state"] == "up" && row["requests"].as_u64().unwrap() > 5)
    });
    lbdev.run(&["scale", "web=2"]).ok();
    assert_eq!(ports(&lbdev), four[..2]);
    load.run_for(100, s(60));
    let report = load.finish();
    report.none_lost();
    for port in &six[2..] {
        assert!(
            is_free(u16::try_from(*port).unwrap()),
            "{port} is still open"
        );
    }
    lbdev.run(&["scale", "3"]).ok();
    assert_eq!(ports(&lbdev), six[..3], "the ports go on behind the last");
    lbdev.run(&["scale", "3"]).ok().says("3");
}

#[test]
fn a_request_in_flight_outlives_the_backends_that_go() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    let port = lbdev.ports.listen();
    let slow: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(move || crate::http::get(port, "/slow?ms=1200")))
        .collect();
    until(s(60), "each has one", || {
        let status = lbdev.status();
        let rows = status["backends"].as_array().unwrap();
        rows.iter().all(|row| row["in_flight"] == 1)
    });
    lbdev.run(&["scale", "1"]).ok();
    for answer in slow {
        assert_eq!(answer.join().unwrap().unwrap().status, 200);
    }
    assert_eq!(ports(&lbdev).len(), 1);
}

#[test]
fn what_cannot_be_scaled() {
    let lbdev = Lbdev::new();
    lbdev.demo();
    lbdev
        .run(&["scale", "shop=3"])
        .fails(2, "LB030")
        .says("there is no service `shop`");
    lbdev
        .run(&["scale", "0"])
        .fails(2, "LB021")
        .says("from 1 to 256");
    assert_eq!(ports(&lbdev).len(), 4);
}
