//! Names: a resolver that takes its time holds up nobody who has none.

use std::sync::mpsc::channel;
use std::time::Duration;

use ropewalk::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use ropewalk::timeout;
use ropewalk_runtime::blocking_owned;

use crate::support::{Spot, Tracker, on_every_pair, on_every_plan, until};

/// What a name is resolved by: a call that nobody can break off. Who asked leaves it behind.
#[test]
fn who_is_cancelled_leaves_the_resolver_behind() {
    on_every_plan(|plan| {
        let (answer, answered) = channel::<()>();
        let (spot, tracker) = (Spot::new(), Tracker::new());
        let asking = plan.spawn({
            let (spot, value) = (spot.clone(), tracker.value());
            move || {
                blocking_owned(move || {
                    spot.mark();
                    let _: Result<(), _> = answered.recv();
                    value
                })
                .map(drop)
            }
        });
        until(|| spot.is_marked());
        asking.cancel();
        assert!(asking.join().unwrap_err().is_cancelled());
        assert_eq!(tracker.drops(), 0, "it is still under way");
        answer.send(()).unwrap();
        until(|| tracker.drops() == 1);
    });
}

#[test]
fn who_is_out_of_time_leaves_the_resolver_behind_and_others_get_what_it_gives() {
    on_every_pair(|_| {
        let (answer, answered) = channel::<()>();
        let late = timeout(Duration::from_millis(3), || {
            blocking_owned(move || {
                let _: Result<(), _> = answered.recv();
            })
        });
        assert!(late.is_err());
        drop(answer);
        assert_eq!(blocking_owned(|| 7).unwrap(), 7);
        let panics = std::panic::catch_unwind(|| blocking_owned(|| std::panic::resume_unwind(Box::new(1))));
        assert!(panics.map(drop).is_err(), "a panic comes back");
    });
}

#[test]
fn every_form_of_an_address_is_taken() {
    on_every_pair(|_| {
        fn all<A: ToSocketAddrs>(addresses: A) -> Vec<String> {
            addresses.to_socket_addrs().unwrap().map(|address| address.to_string()).collect()
        }
        let four = "127.0.0.1:80".parse::<std::net::SocketAddrV4>().unwrap();
        let six = "[::1]:80".parse::<std::net::SocketAddrV6>().unwrap();
        for found in [
            all(four),
            all(std::net::SocketAddr::from(four)),
            all((*four.ip(), 80)),
            all((std::net::IpAddr::from(*four.ip()), 80)),
            all("127.0.0.1:80"),
            all(String::from("127.0.0.1:80")),
            all(("127.0.0.1", 80)),
            all((String::from("127.0.0.1"), 80)),
            all(&[four.into()][..]),
            all::<&std::net::SocketAddrV4>(&four),
        ] {
            assert_eq!(found, ["127.0.0.1:80"]);
        }
        for found in [all(six), all((*six.ip(), 80)), all("[::1]:80"), all(("::1", 80))] {
            assert_eq!(found, ["[::1]:80"]);
        }
        for wrong in ["", "127.0.0.1", "127.0.0.1:65536", "127.0.0.1:port", "[::1]"] {
            assert!(wrong.to_socket_addrs().is_err(), "{wrong}");
            assert!(TcpStream::connect(wrong).is_err() && TcpListener::bind(wrong).is_err());
            assert!(UdpSocket::bind(wrong).is_err());
        }
    });
}
