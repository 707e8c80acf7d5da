//! Objects of a bucket, read through the S3 interface of OSS and other stores.

mod client;
mod discovery;
mod endpoint;
#[cfg(test)]
mod hostile_store_tests;
mod keys;
mod options;
mod probe;
mod retry;

pub use client::BucketWriter;
pub(crate) use client::{
    BucketClient, DOWNLOAD_BYTES_MAX, FetchedObject, FolderListing, ObjectContent, days_to_list,
    folders_to_list, sort_by_name_time,
};
pub(crate) use discovery::BucketMap;
pub use options::{Credentials, OssError, OssOptions};
pub use probe::{BucketProbe, ProbedObject, StoreRefusal};
