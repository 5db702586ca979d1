//! Servers that send a client elsewhere, keep it waiting, or bury it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use keepwell_tls::{ClientSettings, Error, HttpClient, HttpLimits};
use rustls::{ServerConnection, StreamOwned};

use crate::world::{World, key, listen};

/// The name of the server here, since HTTP connects to the host of its address.
const LOOPBACK: &str = "127.0.0.1";

fn client(world: &World) -> ClientSettings {
    let mut pins = world.pins(1);
    pins.host = LOOPBACK.to_owned();
    world.client_with(&pins)
}

/// Answers each request with `answer` to its head, on connections that stay open; counts connections.
fn serve_http(
    world: &World,
    answer: impl Fn(&str, &mut StreamOwned<ServerConnection, TcpStream>) -> std::io::Result<()>
    + Send
    + Sync
    + 'static,
) -> (u16, Arc<AtomicUsize>) {
    let chain = vec![world.certificate(&world.server_key, &[LOOPBACK])];
    let config = world.server_of(chain, world.server_key.clone()).build().expect("a server");
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let port = listen(move |stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        let mut stream = StreamOwned::new(ServerConnection::new(config.clone())?, stream);
        loop {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte)?;
                head.push(byte[0]);
            }
            answer(&String::from_utf8_lossy(&head), &mut stream)?;
            stream.flush()?;
        }
    });
    (port, connections)
}

fn quick() -> HttpLimits {
    HttpLimits {
        answer: Duration::from_millis(300),
        idle: Duration::from_millis(300),
        ..HttpLimits::default()
    }
}

fn http(settings: &ClientSettings, port: u16, limits: HttpLimits) -> HttpClient {
    let address = format!("https://{LOOPBACK}:{port}").parse().expect("an address");
    HttpClient::new(settings, address, limits).expect("two pins")
}

fn get(target: &str) -> Request<Bytes> {
    Request::get(target).body(Bytes::new()).expect("a request")
}

async fn ask(client: &HttpClient, target: &str) -> Result<String, Error> {
    let body = client.send(get(target)).await?.into_body().whole().await?;
    Ok(String::from_utf8(body).expect("text"))
}

fn run<T>(task: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(task)
}

#[test]
fn a_redirect_is_an_error_and_is_not_followed() {
    let elsewhere = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
    elsewhere.set_nonblocking(true).expect("a socket can");
    let port = elsewhere.local_addr().expect("bound").port();
    let world = World::new();
    let client = client(&world);
    for status in [301, 302, 303, 307, 308] {
        for target in [
            format!("http://{LOOPBACK}:{port}/"),
            format!("https://{LOOPBACK}:{port}/"),
            "https://other.example.org/".to_owned(),
            "/elsewhere".to_owned(),
        ] {
            let (port, _) = serve_http(&world, move |head, stream| {
                assert!(head.starts_with("GET /start "), "{head}");
                write!(stream, "HTTP/1.1 {status} Moved\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n")
            });
            let answer = run(async { ask(&http(&client, port, HttpLimits::default()), "/start").await });
            assert!(matches!(answer, Err(Error::Redirected)), "{answer:?}");
        }
    }
    assert!(elsewhere.accept().is_err(), "somebody came");
}

#[test]
fn a_request_cannot_leave_its_server() {
    let world = World::new();
    let (port, connections) = serve_http(&world, |head, stream| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{host}", host.len())
    });
    let client = http(&client(&world), port, HttpLimits::default());
    run(async {
        for target in [format!("http://{LOOPBACK}:{port}/"), "https://other.example.org/".to_owned()] {
            let answer = client.send(get(&target)).await.map(|answer| answer.status());
            assert!(matches!(answer, Err(Error::Address)), "{target} {answer:?}");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 0);
        let mut disguised = get("/path");
        disguised.headers_mut().insert("host", "other.example.org".parse().expect("a header"));
        let body =
            client.send(disguised).await.expect("an answer").into_body().whole().await.expect("a body");
        assert_eq!(body, format!("{LOOPBACK}:{port}").as_bytes());
    });
}

#[test]
fn a_connection_is_kept_until_the_pins_change() {
    let world = World::new();
    let (port, connections) =
        serve_http(&world, |_, stream| write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    let settings = client(&world);
    let client = http(&settings, port, HttpLimits::default());
    run(async {
        for _ in 0..3 {
            assert_eq!(ask(&client, "/").await.expect("an answer"), "ok");
        }
        assert_eq!(connections.load(Ordering::SeqCst), 1);

        let mut without = world.pins_of(2, key().pin(), key().pin());
        without.host = LOOPBACK.to_owned();
        settings.pinning.offer(&world.sign(&without), world.clock.now()).expect("a signed set");
        let answer = ask(&client, "/").await;
        assert!(matches!(answer, Err(Error::Refused(keepwell_tls::Refusal::NotPinned))), "{answer:?}");
        assert_eq!(connections.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn a_connection_that_closed_while_it_waited_is_replaced() {
    let world = World::new();
    let (port, connections) = serve_http(&world, |_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")?;
        stream.conn.send_close_notify();
        stream.flush()?;
        Err(std::io::ErrorKind::ConnectionAborted.into())
    });
    let client = http(&client(&world), port, HttpLimits::default());
    run(async {
        for _ in 0..3 {
            assert_eq!(ask(&client, "/").await.expect("an answer"), "ok");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[test]
fn an_answer_that_is_too_large_is_cut_off() {
    let world = World::new();
    let limits = HttpLimits { body_bytes: 100_000, ..HttpLimits::default() };
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1_000_000));
    for (head, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n".to_owned(), Error::TooLarge),
        ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), Error::TooLarge),
        (large, Error::NotHttp),
    ] {
        let (port, _) = serve_http(&world, move |_, stream| {
            stream.write_all(head.as_bytes())?;
            (0..1000).try_for_each(|_| stream.write_all(&[b'x'; 10_000]))
        });
        let answer = run(async { ask(&http(&client(&world), port, limits), "/").await });
        let refused = answer.expect_err("cut off");
        assert_eq!(refused.code(), expected.code(), "{refused:?} for {expected:?}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_left() {
    let world = World::new();
    let silent = TcpListener::bind((LOOPBACK, 0)).expect("a free port");
    let connect = HttpLimits { connect: Duration::from_millis(300), ..HttpLimits::default() };
    let silent = http(&client(&world), silent.local_addr().expect("bound").port(), connect);
    let answer = run(async { ask(&silent, "/").await });
    assert!(matches!(answer, Err(Error::Timeout)), "{answer:?}");

    let (port, _) = serve_http(&world, |_, stream| stream.write_all(b"HTTP/1.1 200 OK\r\nx: "));
    let answer = run(async { ask(&http(&client(&world), port, quick()), "/").await });
    assert!(matches!(answer, Err(Error::Timeout)), "{answer:?}");
}

#[test]
fn a_body_that_stops_is_left() {
    let world = World::new();
    let (port, _) = serve_http(&world, |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    });
    let answer = run(async { ask(&http(&client(&world), port, quick()), "/").await });
    assert!(matches!(answer, Err(Error::Timeout)), "{answer:?}");

    let (port, _) = serve_http(&world, |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        stream.flush()?;
        Err(std::io::ErrorKind::ConnectionAborted.into())
    });
    let answer = run(async { ask(&http(&client(&world), port, HttpLimits::default()), "/").await });
    assert!(matches!(answer, Err(Error::Connection)), "{answer:?}");
}

#[test]
fn what_is_not_http_is_an_error() {
    let world = World::new();
    let (port, _) = serve_http(&world, |_, stream| stream.write_all(b"220 mail.example.org ESMTP\r\n\r\n"));
    let answer = run(async { ask(&http(&client(&world), port, HttpLimits::default()), "/").await });
    assert!(matches!(answer, Err(Error::NotHttp)), "{answer:?}");
}
