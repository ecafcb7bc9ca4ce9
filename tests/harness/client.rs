//! A client as users are: requests over HTTP/1.1 or HTTP/2, each on a connection of its own, so
//! that the kernel spreads them over Envoy's workers.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::ext::Protocol;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// A request that is yet to be sent: a small chat completion, unless told otherwise.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    http2: bool,
    tunnel: bool,
}

impl Call {
    /// A chat request without any identity.
    pub fn new() -> Self {
        Self {
            method: Method::POST,
            path: "/v1/chat/completions".to_owned(),
            headers: Vec::new(),
            body: br#"{"model":"demo","messages":[{"role":"user","content":"hi"}]}"#.to_vec(),
            http2: false,
            tunnel: false,
        }
    }

    /// A chat request of that account in that tier.
    pub fn of(account: &str, tier: &str) -> Self {
        Self::new()
            .header("x-account-id", account)
            .header("x-account-tier", tier)
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A streamed completion of so many words, one each so many milliseconds.
    pub fn streamed(self, words: u32, every_ms: u32) -> Self {
        self.header("x-demo-completion-tokens", words.to_string())
            .header("x-demo-chunk-ms", every_ms.to_string())
            .body(r#"{"messages":[],"stream":true}"#)
    }

    pub fn method(mut self, method: &str, path: &str) -> Self {
        self.method = method.parse().unwrap();
        path.clone_into(&mut self.path);
        self
    }

    pub fn post(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self.body(Vec::new())
    }

    pub fn get(mut self, path: &str) -> Self {
        self.method = Method::GET;
        path.clone_into(&mut self.path);
        self.body(Vec::new())
    }

    pub fn delete(self, path: &str) -> Self {
        let mut call = self.get(path);
        call.method = Method::DELETE;
        call
    }

    pub fn head(self, path: &str) -> Self {
        let mut call = self.get(path);
        call.method = Method::HEAD;
        call
    }

    pub const fn is_http2(&self) -> bool {
        self.http2
    }

    pub fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Asks for a WebSocket in an HTTP/2 stream (RFC 8441).
    pub fn tunnel(mut self) -> Self {
        self.method = Method::CONNECT;
        self.tunnel = true;
        self.body(Vec::new()).http2()
    }

    fn request(self, to: SocketAddr) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::from(self.body)));
        *request.method_mut() = self.method;
        *request.uri_mut() = format!("http://{to}{}", self.path).parse().unwrap();
        if self.tunnel {
            let websocket = Protocol::from_static("websocket");
            request.extensions_mut().insert(websocket);
        }
        for (name, value) in self.headers {
            let name: HeaderName = name.parse().unwrap();
            let value = HeaderValue::from_bytes(&value).unwrap();
            request.headers_mut().append(name, value);
        }
        request
    }

    /// Sends the request on a connection of its own and reads the whole reply.
    pub async fn send(self, to: SocketAddr) -> Result<Reply, String> {
        let connection = connection(self.http2);
        self.send_on(&connection, to).await
    }

    /// Sends the request; the reply's body is still to come.
    pub async fn begin(
        self,
        connection: &Connection,
        to: SocketAddr,
    ) -> Result<Response<Incoming>, String> {
        let reply = connection.request(self.request(to)).await;
        reply.map_err(|error| format!("{error:?}"))
    }

    /// Sends the request on that connection and reads the whole reply.
    pub async fn send_on(self, connection: &Connection, to: SocketAddr) -> Result<Reply, String> {
        let (head, body) = self.begin(connection, to).await?.into_parts();
        let body = body.collect().await.map_err(|error| format!("{error:?}"))?;
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes().to_vec(),
        })
    }
}

/// A client that keeps its connection.
pub type Connection = Client<HttpConnector, Full<Bytes>>;

pub fn connection(http2: bool) -> Connection {
    Client::builder(TokioExecutor::new())
        .http2_only(http2)
        .build_http()
}

/// Sends all requests from so many clients, each with one connection; replies in no order.
pub async fn flood(to: SocketAddr, clients: usize, calls: Vec<Call>) -> Vec<Reply> {
    let queue = Arc::new(Mutex::new(calls));
    let client = |queue: Arc<Mutex<Vec<Call>>>| async move {
        let connection = connection(false);
        let mut replies = Vec::new();
        loop {
            let Some(call) = queue.lock().unwrap().pop() else {
                return replies;
            };
            replies.push(call.send_on(&connection, to).await.unwrap());
        }
    };
    let clients: Vec<_> = (0..clients)
        .map(|_| tokio::spawn(client(Arc::clone(&queue))))
        .collect();
    let mut replies = Vec::new();
    for client in clients {
        replies.extend(client.await.unwrap());
    }
    replies
}

/// A whole reply.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// `error.code` of a refusal; empty for any other reply.
    pub fn code(&self) -> String {
        if self.status < 400 {
            return String::new();
        }
        let code = &self.json()["error"]["code"];
        code.as_str().unwrap_or_default().to_owned()
    }

    /// The RPM of the tier that an admitted request was judged by, or the code of a refusal.
    pub fn rpm_or_code(&self) -> String {
        match self.status {
            200 => self
                .header("x-ratelimit-limit-requests")
                .unwrap()
                .to_owned(),
            _ => self.code(),
        }
    }

    /// `retry-after-ms` of a 429.
    pub fn retry_after_ms(&self) -> u64 {
        self.header("retry-after-ms").unwrap().parse().unwrap()
    }
}

/// How many replies have that status.
pub fn count(replies: &[Reply], status: u16) -> usize {
    replies.iter().filter(|r| r.status == status).count()
}
