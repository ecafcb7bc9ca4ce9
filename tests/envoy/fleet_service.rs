//! A service of the fleet in this process, which answers by the store in memory, or badly.

use crate::fleet_store::FleetStore;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tiergate::fleet::hex::AccountId;
use tiergate::fleet::message::{StepAnswer, StepRequest};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// How the service answers.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// By the store.
    Answers,
    /// By the store, after a time.
    After(Duration),
    /// With a status.
    Fails(u16),
    /// With another body.
    Says(Vec<u8>),
    /// With the words of the store bent: another account, older numbers, grants that nobody asked
    /// for, half of the text, nothing, and no JSON; in turn.
    Lies,
}

struct Shared {
    store: Arc<Mutex<FleetStore>>,
    behaviour: Behaviour,
}

pub struct Service {
    shared: Arc<Mutex<Shared>>,
    pub address: SocketAddr,
    _runtime: Runtime,
}

impl Service {
    pub fn start() -> Self {
        Self::of(Arc::default())
    }

    /// Another service of the same store.
    pub fn another(&self) -> Self {
        Self::of(Arc::clone(&self.shared.lock().unwrap().store))
    }

    fn of(store: Arc<Mutex<FleetStore>>) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            store,
            behaviour: Behaviour::Answers,
        }));
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Self {
            shared,
            address,
            _runtime: runtime,
        }
    }

    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().unwrap().behaviour = behaviour;
    }

    /// What is used of a meter, and what edges hold.
    pub fn used_and_out(&self, meter: &str) -> (u64, u64) {
        let store = Arc::clone(&self.shared.lock().unwrap().store);
        let store = store.lock().unwrap();
        store.used_and_out(meter)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| answer(Arc::clone(&shared), request));
        tokio::spawn(async move {
            let connection = Builder::new(TokioExecutor::new());
            // The other side may be gone.
            let _ended = connection
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    shared: Arc<Mutex<Shared>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.uri().path(), "/v1/step");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let request: StepRequest = serde_json::from_slice(&body).unwrap();
    let behaviour = shared.lock().unwrap().behaviour.clone();
    let mut status = 200;
    let body = match behaviour {
        Behaviour::Answers => stepped(&shared, &request),
        Behaviour::After(time) => {
            tokio::time::sleep(time).await;
            stepped(&shared, &request)
        }
        Behaviour::Says(body) => body,
        Behaviour::Lies => bent(&stepped(&shared, &request)),
        Behaviour::Fails(with) => {
            status = with;
            Vec::new()
        }
    };
    let response = Response::builder().status(status);
    Ok(response.body(Full::new(body.into())).unwrap())
}

fn stepped(shared: &Mutex<Shared>, request: &StepRequest) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_millis()).unwrap();
    let answer = Arc::clone(&shared.lock().unwrap().store)
        .lock()
        .unwrap()
        .answer(request, now);
    serde_json::to_vec(&answer).unwrap()
}

/// The next lie about an answer.
fn bent(answer: &[u8]) -> Vec<u8> {
    static TURN: AtomicUsize = AtomicUsize::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed) % 6;
    let mut lie: StepAnswer = serde_json::from_slice(answer).unwrap();
    for item in &mut lie.items {
        match turn {
            0 => item.account = AccountId::default(),
            1 => item.seq = item.seq.saturating_sub(1),
            _ => item
                .meters
                .iter_mut()
                .for_each(|one| one.grant = u64::MAX / 2),
        }
    }
    let mut body = serde_json::to_vec(&lie).unwrap();
    match turn {
        3 => body.truncate(body.len() / 2),
        4 => body.clear(),
        5 => body = b"<html>502 Bad Gateway</html>".to_vec(),
        _ => {}
    }
    body
}
