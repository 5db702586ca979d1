//! Attacks on the layers below: connections, heads, bodies, encodings.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::raw::{connect, rest, status};
use crate::world::{World, get, post};

/// Quick limits, so that a test needs not wait for those of a server.
const QUICK: &str = "limits = { handshake_s = 1, head_s = 1, body_s = 1, write_s = 1, connections = 8, connections_per_address = 6, body_bytes = 65536 }";

#[test]
fn a_slow_handshake_head_or_body_is_cut_off() {
    let world = World::with(QUICK);
    let stranger = world.stranger();
    let began = Instant::now();

    // Nothing is said at all.
    let mut silent = TcpStream::connect(world.server.address()).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(rest(&mut silent), "");

    // A head that never ends, a byte at a time.
    let mut slow = connect(&world, &stranger);
    let mut sent = 0;
    for byte in b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: ".iter().chain(std::iter::repeat(&b'x')) {
        if slow.write_all(&[*byte]).and_then(|()| slow.flush()).is_err() || sent > 400 {
            break;
        }
        sent += 1;
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(sent <= 400, "the head was never cut off");

    // A body that stops in the middle.
    let mut slow = connect(&world, &stranger);
    write!(slow, "POST /sync/v1/enrol HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{{").unwrap();
    slow.flush().unwrap();
    assert_eq!(status(&rest(&mut slow)), 408);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let world = World::with(QUICK);
    let mut deaf = connect(&world, &world.stranger());
    let request = "GET /fhir/metadata HTTP/1.1\r\nHost: a\r\n\r\n".repeat(30);
    deaf.write_all(request.as_bytes()).unwrap();
    deaf.flush().unwrap();
    std::thread::sleep(Duration::from_millis(2_500));
    // What was on its way is still to be had, but not all thirty answers, and then it ends.
    let got = rest(&mut deaf);
    assert!(got.matches("HTTP/1.1 200 OK").count() < 30, "all of it was kept for a client that did not read");
}

#[test]
fn more_connections_than_the_limit_are_turned_away_and_room_comes_back() {
    let world = World::with(QUICK);
    let stranger = world.stranger();
    let mut held: Vec<_> = (0..6).map(|_| connect(&world, &stranger)).collect();
    let mut surplus = TcpStream::connect(world.server.address()).unwrap();
    surplus.set_read_timeout(Some(Duration::from_millis(900))).unwrap();
    assert_eq!(surplus.read(&mut [0]).map_err(|error| error.kind()), Ok(0));
    held.clear();
    let http = world.http(&stranger);
    let begun = Instant::now();
    loop {
        let answer = world.run(http.send(get("/healthz")));
        if answer.is_ok() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "no room came back");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_is_not_http_or_too_large_is_refused() {
    let world = World::with(QUICK);
    let stranger = world.stranger();
    let long = "x".repeat(70_000);
    for (request, expected) in [
        ("nonsense\r\n\r\n".to_owned(), &[400][..]),
        (format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), &[431]),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), &[414, 431]),
        ("POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(), &[400]),
        ("GET /nothing/here HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(), &[404]),
        ("GET /fhir/../metadata HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(), &[404]),
        (
            format!("POST /sync/v1/enrol HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9999999\r\n\r\n{long}"),
            &[413],
        ),
        (
            "POST /sync/v1/enrol HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned(),
            &[400],
        ),
    ] {
        // A server that has seen enough answers and closes: what is still on its way meets a reset, and so may its answer.
        let answered = (0..20).find_map(|_| {
            let mut stream = connect(&world, &stranger);
            let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.flush());
            Some(rest(&mut stream)).filter(|answer| !answer.is_empty())
        });
        let answer = answered.expect("one of twenty answers comes through");
        assert!(expected.contains(&status(&answer)), "{} instead of {expected:?}", &answer[..answer.len().min(80)]);
    }
}

#[test]
fn a_body_that_was_cut_off_does_nothing() {
    let world = World::new();
    let device = world.enrol("ada");
    let mut stream = connect(&world, &device.settings);
    let whole = "{\"v\":1,\"inc\":\"0000000000000001\",\"ack\":0}\n{\"end\":{\"n\":0}}\n";
    write!(stream, "POST /sync/v1/push HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", whole.len() + 1)
        .unwrap();
    stream.write_all(whole.as_bytes()).unwrap();
    stream.conn.send_close_notify();
    stream.flush().unwrap();
    let answer = rest(&mut stream);
    assert!([0, 400].contains(&status(&answer)), "{answer}");
    // Cut where a line ends, it is refused as well.
    let cut = device.ask(post("/sync/v1/push", whole.lines().next().unwrap().as_bytes().to_vec()));
    assert_eq!((cut.status, &cut.json()["error"]), (400, &"bad_request".into()));
}

#[test]
fn a_decompression_bomb_is_refused_where_it_passes_the_limit() {
    let world = World::new();
    let device = world.enrol("ada");
    let bomb = keepwell_protocol::Encoding::Zstd.encode(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 64 << 10, "it is small on the wire");
    for path in ["/sync/v1/push", "/sync/v1/pull", "/sync/v1/park", "/sync/v1/digest", "/sync/v1/lease"] {
        let mut request = post(path, bomb.clone());
        request.headers_mut().insert("content-encoding", "zstd".parse().unwrap());
        let reply = device.ask(request);
        assert_eq!((reply.status, &reply.json()["error"]), (413, &"too_large".into()), "{path}");
    }
}

#[test]
fn an_unknown_encoding_is_answered_with_what_is_known() {
    let world = World::new();
    let device = world.enrol("ada");
    for (encoding, dictionary) in [("br", None), ("gzip", None), ("zstd", Some("unknown"))] {
        let mut request = post("/sync/v1/lease", b"{}".to_vec());
        request.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        if let Some(dictionary) = dictionary {
            request.headers_mut().insert("keepwell-dictionary", dictionary.parse().unwrap());
        }
        let reply = device.ask(request);
        let known = keepwell_protocol::Dictionary::built_in().id().to_string();
        assert_eq!((reply.status, &reply.json()["dicts"][0]), (415, &known.as_str().into()), "{encoding}");
    }
}
