//! `tiergate-rate-limit-service ADDRESS REDIS-URL`: Envoy's rate-limit service (envoy.service.ratelimit.v3)
//! with one limit, which nothing reaches, on requests of each account in a minute.
//!
//! It does for each request what such services do: one counter in Redis, read and written by a script.

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::{
    RateLimitService, RateLimitServiceServer,
};
use envoy_types::pb::envoy::service::ratelimit::v3::{RateLimitRequest, RateLimitResponse};
use limitador::AsyncRateLimiter;
use limitador::limit::Limit;
use limitador::storage::redis::AsyncRedisStorage;
use std::collections::HashMap;
use std::error::Error;
use tonic::{Request, Response, Status};

const MOST: i64 = 1_000_000_000;

struct Service(AsyncRateLimiter);

#[tonic::async_trait]
impl RateLimitService for Service {
    async fn should_rate_limit(
        &self,
        request: Request<RateLimitRequest>,
    ) -> Result<Response<RateLimitResponse>, Status> {
        let request = request.into_inner();
        let entries = request.descriptors.into_iter().flat_map(|one| one.entries);
        let values: HashMap<String, String> =
            entries.map(|entry| (entry.key, entry.value)).collect();
        let checked = self
            .0
            .check_rate_limited_and_update(&request.domain.into(), &values, 1, false)
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let code = match checked.limited {
            true => Code::OverLimit,
            false => Code::Ok,
        };
        Ok(Response::new(RateLimitResponse {
            overall_code: code.into(),
            ..RateLimitResponse::default()
        }))
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(redis)) = (args.next(), args.next()) else {
        return Err("usage: tiergate-rate-limit-service ADDRESS REDIS-URL".into());
    };
    let storage = AsyncRedisStorage::new(&redis).await?;
    let limiter = AsyncRateLimiter::new_with_storage(Box::new(storage));
    limiter.add_limit(Limit::new(
        "tiergate",
        MOST,
        60,
        Vec::<String>::new(),
        ["account"],
    ));
    tonic::transport::Server::builder()
        .add_service(RateLimitServiceServer::new(Service(limiter)))
        .serve(address.parse()?)
        .await?;
    Ok(())
}
