//! Repeats requests whose response ended early. The client itself repeats refused requests only.

use futures::future::BoxFuture;
use std::time::Duration;

/// Attempts of a listing, and the pause between two of them.
const LISTING_ATTEMPTS: u32 = 4;
const LISTING_RETRY_DELAY: Duration = Duration::from_millis(200);

/// Makes the request until it is answered in full, a few times at most.
pub(super) async fn with_retries<'f, T>(
    request: impl Fn() -> BoxFuture<'f, object_store::Result<T>>,
) -> object_store::Result<T> {
    for _ in 1..LISTING_ATTEMPTS {
        match request().await {
            Err(object_store::Error::Generic { .. }) => {
                tokio::time::sleep(LISTING_RETRY_DELAY).await
            }
            response => return response,
        }
    }
    request().await
}
