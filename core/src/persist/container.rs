//! Arrays under a header, as safetensors.
use super::digest::mix;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// An array to write.
pub(super) struct Array {
    pub name: String,
    pub dtype: Dtype,
    pub len: usize,
    pub data: Vec<u8>,
}

/// A file whose header has the one entry `key`.
pub(super) fn write(key: &str, header: &str, arrays: &[Array]) -> Result<Vec<u8>> {
    let views: Result<Vec<_>> = arrays
        .iter()
        .map(|a| {
            let view = TensorView::new(a.dtype, vec![a.len], &a.data).map_err(unwritable)?;
            Ok((a.name.as_str(), view))
        })
        .collect();
    let header = [(key.to_owned(), header.to_owned())].into_iter().collect();
    safetensors::serialize(views?, Some(header)).map_err(unwritable)
}

/// The entry `key` of the header.
pub(super) fn header(bytes: &[u8], key: &str) -> Result<String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let text = header.metadata().as_ref().and_then(|m| m.get(key));
    text.cloned().ok_or_else(|| {
        Error::Data(format!("it is no saved preconditioner: its header has no '{key}' entry"))
    })
}

/// The arrays, whose sizes are checked against the file.
pub(super) fn read(bytes: &[u8]) -> Result<SafeTensors<'_>> {
    SafeTensors::deserialize(bytes).map_err(damaged)
}

/// The array `name` of one extent: type, length, content.
pub(super) fn array<'a>(arrays: &SafeTensors<'a>, name: &str) -> Result<(Dtype, usize, &'a [u8])> {
    let missing = |_| Error::Data(format!("array '{name}' is missing"));
    let view = arrays.tensor(name).map_err(missing)?;
    match view.shape() {
        [len] => Ok((view.dtype(), *len, view.data())),
        shape => Err(Error::Data(format!("array '{name}' has shape {shape:?}, not one extent"))),
    }
}

/// Name of the array that a sealed file ends with: the last of the narrowest type.
const SEAL: &str = "seal";
/// Its bytes.
const SEALED: usize = 8;

/// A file as [`write`] makes it, whose last bytes tell whether all those before them are what they were.
pub(super) fn write_sealed(key: &str, header: &str, mut arrays: Vec<Array>) -> Result<Vec<u8>> {
    let data = vec![0; SEALED];
    arrays.push(Array { name: SEAL.into(), dtype: Dtype::U8, len: SEALED, data });
    write(key, header, &arrays).map(seal)
}

/// The same file, where its last bytes fit those before them: what a program that changes one on purpose
/// ends with.
pub fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some((content, seal)) = bytes.split_last_chunk_mut::<SEALED>() {
        *seal = checksum(content);
    }
    bytes
}

/// Refuses a file of which a byte is not what it was, header and arrays alike.
pub(super) fn check_seal(bytes: &[u8]) -> Result<()> {
    match bytes.split_last_chunk::<SEALED>() {
        Some((content, seal)) if *seal == checksum(content) => Ok(()),
        _ => {
            Err(Error::Data("it is damaged, or was edited: it does not match its checksum".into()))
        }
    }
}

fn checksum(bytes: &[u8]) -> [u8; SEALED] {
    let (whole, rest) = bytes.as_chunks();
    let sum = whole.iter().fold(0, |sum, &w| mix(sum ^ u64::from_le_bytes(w)));
    let sum = rest.iter().fold(sum, |sum, &b| mix(sum ^ u64::from(b)));
    mix(sum ^ bytes.len() as u64).to_le_bytes()
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::Data(format!("it is damaged, or no safetensors file ({error})"))
}

pub(super) fn unwritable(error: impl std::fmt::Display) -> Error {
    Error::Data(format!("the preconditioner cannot be written: {error}"))
}
