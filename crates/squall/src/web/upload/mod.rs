//! Uploads: what they may be, and where they are kept until they are read.
//!
//! [`Multipart`](crate::Multipart) hands an upload on while it arrives. [`Upload`] is for
//! forms whose order is not known: it collects the fields in memory and spools the files
//! to disk. One [`UploadPolicy`] bounds both.

mod collected;
mod file;
mod file_name;
mod policy;
mod spool;

pub use collected::Upload;
pub use file::UploadedFile;
pub use file_name::safe_file_name;
pub use policy::UploadPolicy;
