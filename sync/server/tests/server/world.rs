//! A server that stops with its test, and clients of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use keepwell_protocol::{
    Base64, Document, EnrolReply, EnrolRequest, Id, Incarnation, Secret, VERSION_MAX, from_bytes, to_bytes,
};
use keepwell_server::{Config, Server, TokenUse, Tokens, Welcome, prepare};
use keepwell_tls::{
    CertificateRequest, ClientSettings, HttpClient, HttpLimits, Identity, Invitation, PrivateKey, Trust,
};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const HOST: &str = "127.0.0.1";
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A server and the folder that it lives in.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) welcome: Welcome,
    pub(crate) config: Config,
    runtime: tokio::runtime::Runtime,
    folder: TempDir,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The configuration of a test: everything in `folder`, and `more` lines.
pub(crate) fn config(folder: &TempDir, more: &str) -> Config {
    let place = folder.path().display();
    let text = format!(
        "tenant = 'clinic'\ndata = '{place}/data'\nkeychain = 'file:{place}/keys'\nlisten = '{HOST}:0'\naddress = '{HOST}'\n{more}"
    );
    Config::parse(&text, []).unwrap()
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with("")
    }

    pub(crate) fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder, more);
        let welcome = prepare(&config).unwrap().unwrap();
        let server = Server::start(config.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { server, welcome, config, runtime, folder }
    }

    pub(crate) fn run<T>(&self, task: impl Future<Output = T>) -> T {
        self.runtime.block_on(task)
    }

    pub(crate) fn token(&self, user: &str) -> String {
        self.token_for(user, TokenUse::Fhir)
    }

    pub(crate) fn token_for(&self, user: &str, purpose: TokenUse) -> String {
        let tokens = Tokens::open(&self.config.data).unwrap();
        let token = tokens.issue(user, purpose).unwrap().to_string();
        // The server looks at the file at most once a second.
        std::thread::sleep(Duration::from_millis(1_100));
        token
    }

    pub(crate) fn invite(&self, user: &str) -> Invitation {
        self.server.operator().invite(&user.parse().unwrap(), DAY).unwrap()
    }

    /// A client that knows the server by an invitation, and has no certificate.
    pub(crate) fn stranger(&self) -> ClientSettings {
        let (trust, pinning) = self.invite("nobody").pinning().unwrap();
        ClientSettings::new(trust, pinning)
    }

    pub(crate) fn http(&self, settings: &ClientSettings) -> HttpClient {
        let address = format!("https://{}", self.server.address()).parse().unwrap();
        HttpClient::new(settings, address, HttpLimits::default()).unwrap()
    }

    pub(crate) fn ask(&self, http: &HttpClient, request: Request<Bytes>) -> Reply {
        self.run(async {
            let answer = http.send(request).await.unwrap();
            let (parts, body) = answer.into_parts();
            Reply { status: parts.status.as_u16(), headers: parts.headers, body: body.whole().await.unwrap() }
        })
    }

    /// Enrols a device of `user`.
    pub(crate) fn enrol(&self, user: &str) -> Device<'_> {
        let invitation = self.invite(user);
        let (trust, pinning) = invitation.pinning().unwrap();
        let mut settings = ClientSettings::new(trust, pinning);
        let key = Arc::new(PrivateKey::generate().unwrap());
        let request = EnrolRequest {
            v: VERSION_MAX,
            code: Secret::new(invitation.code.text().to_string()),
            csr: Base64(CertificateRequest::create(key.as_ref()).unwrap()),
            name: "tablet".to_owned(),
            incarnation: Incarnation::new(1),
        };
        let reply = self.ask(&self.http(&settings), post("/sync/v1/enrol", to_bytes(&request)));
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        let enrolled: EnrolReply = from_bytes(&reply.body).unwrap();
        let mut certificates = enrolled.certificates.iter().map(|der| der.0.clone().into());
        settings.device = Some(Identity::new(vec![certificates.next().unwrap()], key.clone()).unwrap());
        settings.trust = Trust::Authorities(certificates.collect());
        Device {
            world: self,
            id: enrolled.device.clone(),
            http: self.http(&settings),
            settings,
            enrolled,
            key,
        }
    }
}

/// A device with its certificate.
pub(crate) struct Device<'w> {
    pub(crate) world: &'w World,
    pub(crate) id: Id,
    pub(crate) http: HttpClient,
    pub(crate) settings: ClientSettings,
    pub(crate) enrolled: EnrolReply,
    pub(crate) key: Arc<PrivateKey>,
}

impl Device<'_> {
    pub(crate) fn ask(&self, request: Request<Bytes>) -> Reply {
        self.world.ask(&self.http, request)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask(get(path))
    }

    pub(crate) fn post<T: Document>(&self, path: &str, document: &T) -> Reply {
        self.ask(post(path, to_bytes(document)))
    }

    /// Lets the device's user write in a patient's compartment.
    pub(crate) fn grant(&self, scope: &str) {
        let user = self.world.server.backend().admit(&self.id).unwrap().user;
        let access = keepwell_backend::Access::Write;
        self.world.server.operator().grant(&user, &scope.parse().unwrap(), access).unwrap();
    }
}

pub(crate) fn get(path: &str) -> Request<Bytes> {
    Request::get(path).body(Bytes::new()).unwrap()
}

pub(crate) fn post(path: &str, body: Vec<u8>) -> Request<Bytes> {
    Request::post(path).body(body.into()).unwrap()
}

impl World {
    /// Stops the server and waits for its end; gives the folder with what it leaves.
    pub(crate) fn close(self) -> TempDir {
        self.server.stop_handle().stop();
        self.server.wait().unwrap();
        self.folder
    }
}
