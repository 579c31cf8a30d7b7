//! Slow and hostile clients harm nobody else.

use std::io::{Read, Write};

use rustix::process::{Pid, getpid};

use crate::support::{Client, Server, on_each_plan, on_each_plan_in_one_process, pay, until};

/// A figure of a process in KiB, from `/proc/PID/status`.
fn memory_kib(pid: Pid, name: &str) -> u64 {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = std::fs::read_to_string(path).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the figure is there");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Others are served as if nothing were.
fn assert_serves(client: &mut Client) {
    assert_eq!(client.get("/health").status, 200);
    assert_eq!(client.pay("others", 1, 2, 1).status, 200);
}

on_each_plan! {
    fn half_a_request_ends_with_408(plan) {
        let server = Server::start(plan, &["--request-timeout", "0.3"]);
        let mut other = server.connect();
        let payment = pay("half", 1, 2, 5);
        let chunked = b"POST /payments HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{";
        for half in [&b"G"[..], b"\r\n", &payment[..40], &payment[..payment.len() - 1], chunked] {
            let mut client = server.connect();
            client.send(half);
            assert_serves(&mut other);
            let reply = client.reply();
            assert_eq!((reply.status, reply.header("connection")), (408, Some("close")));
            assert!(!reply.error().is_empty());
            assert!(client.is_closed());
        }
        // One that gives up half way needs no reply.
        let mut client = server.connect();
        client.send(&payment[..40]);
        client.finish();
        assert!(client.is_closed());
        assert_eq!(other.balance(1), 9999, "half a payment is none");
    }

    fn a_byte_at_a_time_does_not_extend_the_time(plan) {
        let server = Server::start(plan, &["--request-timeout", "0.5"]);
        let mut other = server.connect();
        let slow = server.connect();
        // A byte each time that another client was served, without end: 408 must come.
        let mut request = pay("slow", 1, 2, 5);
        request.truncate(40);
        request.extend(b"x".repeat(4000));
        slow.stream().set_nonblocking(true).expect("non-blocking");
        let mut bytes = request.iter().cycle();
        let mut reply = Vec::new();
        until("the server answers", || {
            // It may be cut already; then the reply is there.
            let _ = slow.stream().write(&[*bytes.next().expect("cycles")]);
            assert_serves(&mut other);
            let mut buffer = [0; 1024];
            if let Ok(count) = slow.stream().read(&mut buffer) {
                reply.extend_from_slice(&buffer[..count]);
            }
            !reply.is_empty()
        });
        let status = String::from_utf8_lossy(&reply[..12]).into_owned();
        // In so many bytes the header may also become too large, on a fast machine.
        assert!(status == "HTTP/1.1 408" || status == "HTTP/1.1 431", "{status}");
    }

    fn an_idle_connection_is_closed_without_a_word(plan) {
        let server = Server::start(plan, &["--idle-timeout", "0.2"]);
        assert!(server.connect().is_closed());
        let mut client = server.connect();
        assert_eq!(client.get("/health").status, 200);
        assert!(client.is_closed());
    }

    fn a_client_that_never_reads_is_cut(plan) {
        let server = Server::start(plan, &["--request-timeout", "0.3"]);
        let mut other = server.connect();
        let client = server.connect();
        let requests = "GET /accounts/1 HTTP/1.1\r\nHost: test\r\n\r\n".repeat(1000);
        // Replies fill the sockets, the server gives up: at last a write fails.
        until("the connection is cut", || {
            assert_serves(&mut other);
            client.stream().write_all(requests.as_bytes()).is_err()
        });
        assert_serves(&mut other);
        until("it is gone", || other.get("/stats").number("connections") == 1);
    }

    fn garbage_from_many_harms_nobody(plan) {
        let server = Server::start(plan, &[]);
        let mut other = server.connect();
        // Deterministic noise, some of it beginning like a request.
        let mut seed = u64::from(getpid().as_raw_nonzero().get().unsigned_abs());
        for round in 0..200 {
            let mut noise: Vec<u8> = (0..700)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (seed >> 56) as u8
                })
                .collect();
            if round % 2 == 0 {
                noise.splice(0..0, *b"POST /payments HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n");
            }
            let mut client = server.connect();
            // The server may close before all of it is sent.
            let _ = client.try_send(&noise);
            if round % 3 == 0 {
                drop(client);
            } else {
                let reply = client.try_reply();
                assert!(matches!(&reply, Ok(reply) if reply.status == 400), "{reply:?}");
            }
        }
        assert_serves(&mut other);
        assert_eq!(other.get("/stats").number("payments_committed"), 1);
    }
}

// Where connections have processes, what one of them takes is gone with it.
on_each_plan_in_one_process! {
    fn ten_megabytes_of_header_cost_no_memory(plan) {
        let server = Server::start(plan, &[]);
        let mut other = server.connect();
        assert_serves(&mut other);
        let before = memory_kib(server.pid(), "VmHWM");
        for _ in 0..3 {
            let mut client = server.connect();
            client.send("GET /health HTTP/1.1\r\nHost: test\r\n");
            let field = format!("X-Filler: {}\r\n", "x".repeat(1012));
            for _ in 0..10_240 {
                // The server stops listening some time after its reply.
                if client.try_send(&field).is_err() {
                    break;
                }
            }
            let status = client.try_reply().map(|reply| reply.status);
            // A client that goes on after the reply may lose it with the connection.
            assert!(matches!(status, Ok(431) | Err(_)), "{status:?}");
            assert_serves(&mut other);
        }
        let grown = memory_kib(server.pid(), "VmHWM") - before;
        assert!(grown < 4096, "the server grew by {grown} KiB");
    }
}
