//! Read-only access to the lake's files, each compared with its checksum when it is first opened. The query engine percent-encodes non-ASCII characters of a path,
//! but the local object store takes the encoded path as the file name. This store decodes the path
//! first.

use crate::tables::file_checks;
use async_trait::async_trait;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use percent_encoding::percent_decode_str;
use std::path::PathBuf;

/// The local file system, read-only.
#[derive(Debug, Default)]
pub(crate) struct LocalFiles(LocalFileSystem);

impl LocalFiles {
    /// The file system path of the query engine's `location`.
    pub(crate) fn path(&self, location: &Path) -> Result<PathBuf> {
        self.0.path_to_filesystem(&decoded(location)?)
    }
}

/// `location` with its percent-encoding removed.
fn decoded(location: &Path) -> Result<Path> {
    let name =
        percent_decode_str(location.as_ref()).decode_utf8().map_err(|e| generic(Box::new(e)))?;
    Path::parse(name).map_err(|e| generic(Box::new(e)))
}

fn generic(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Generic { store: "local files", source }
}

fn read_only(operation: &str) -> Error {
    Error::NotSupported {
        source: format!("{operation}: the lake's files are read-only here").into(),
    }
}

impl std::fmt::Display for LocalFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("local files")
    }
}

#[async_trait]
impl ObjectStore for LocalFiles {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only("put"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let location = decoded(location)?;
        let path = self.0.path_to_filesystem(&location)?;
        if file_checks::is_unread(&path) {
            #[expect(
                clippy::disallowed_methods,
                reason = "the caller waits for it and sees its end"
            )]
            let checked = tokio::task::spawn_blocking(move || file_checks::check(&path)).await;
            checked.map_err(|e| generic(e.into()))?.map_err(|e| generic(e.into()))?;
        }
        self.0.get_opts(&location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        locations.map(|_| Err(read_only("delete"))).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        // The catalog knows which files belong to the lake; listing is never needed.
        futures::stream::iter([Err(read_only("list"))]).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(read_only("list"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only("copy"))
    }
}
