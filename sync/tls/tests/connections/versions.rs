//! Servers that speak an older TLS.

use std::io::{Read, Write};
use std::sync::Arc;

use keepwell_tls::Error;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, ServerConfig};

use crate::world::{HOST, World, ask, listen, serve};

/// A server of someone else's making, with the pinned key, that speaks TLS 1.2 only.
pub(crate) fn old_server(world: &World) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS12])
        .expect("ring has suites for it")
        .with_no_client_auth()
        .with_cert_resolver(foreign(world))
}

/// A server of someone else's making, with the pinned key, that speaks TLS 1.3, resumes and takes early data.
pub(crate) fn resuming_server(world: &World) -> ServerConfig {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("ring has suites for it")
        .with_no_client_auth()
        .with_cert_resolver(foreign(world));
    config.max_early_data_size = 16 * 1024;
    config
}

fn foreign(world: &World) -> Arc<SingleCertAndKey> {
    let key = PrivateKeyDer::Pkcs8(world.server_key.pkcs8().to_vec().into());
    let key = ring::sign::any_ecdsa_type(&key).expect("a key of P-256");
    let chain = vec![world.certificate(&world.server_key, &[HOST])];
    Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)))
}

#[test]
fn a_server_without_tls_1_3_is_refused() {
    let world = World::new();
    let port = serve(Arc::new(old_server(&world)), |_, _| "old".to_owned());
    let answer = ask(&world.client(), port, "a secret");
    assert!(matches!(answer, Err(Error::Protocol)), "{answer:?}");
    assert!(world.client().failures.report().is_empty(), "no key was seen");
}

#[test]
fn tls_1_2_is_accepted_only_by_an_explicit_setting_and_with_strong_suites() {
    let world = World::new();
    let port = serve(Arc::new(old_server(&world)), |_, _| "old".to_owned());
    let mut client = world.client();
    client.allow_tls12 = true;
    assert_eq!(ask(&client, port, "").expect("allowed"), "old");

    let config = client.build().expect("two pins");
    for suite in &config.crypto_provider().cipher_suites {
        let name = format!("{:?}", suite.suite());
        let ephemeral = suite.version().version == ProtocolVersion::TLSv1_3 || name.starts_with("TLS_ECDHE_");
        assert!(ephemeral && (name.contains("_GCM_") || name.contains("_CHACHA20_POLY1305_")), "{name}");
    }
    assert!(config.require_ems);
}

#[test]
fn tls_1_0_and_1_1_are_refused_whatever_is_set() {
    let world = World::new();
    for version in [1, 2] {
        let port = listen(move |mut stream| {
            let mut head = [0; 5];
            stream.read_exact(&mut head)?;
            let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            stream.read_exact(&mut hello)?;
            stream.write_all(&server_hello(version))?;
            stream.read_to_end(&mut hello)?;
            Ok(())
        });
        for allow_tls12 in [false, true] {
            let mut client = world.client();
            client.allow_tls12 = allow_tls12;
            let answer = ask(&client, port, "a secret");
            assert!(matches!(answer, Err(Error::Protocol)), "{version} {allow_tls12} {answer:?}");
        }
    }
}

/// The answer of a server that knows nothing newer than TLS 1.`minor - 1`: ECDHE with RSA, AES-128-CBC and SHA-1.
fn server_hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.extend([0, 0xc0, 0x13, 0]);
    let mut record = vec![22, 3, minor, 0, 4 + 38, 2, 0, 0, 38];
    record.extend(body);
    record
}
