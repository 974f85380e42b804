//! What all tables have in common.

/// A `#[repr(C)]` table that starts with its size.
///
/// # Safety
/// `LAYOUT` describes the type truly, and the first field is `size: usize`.
pub unsafe trait Table: Sized {
    /// Names and places, checked against the C header by a test.
    const LAYOUT: &'static Layout;
}

/// Names and places of the fields of a table.
#[derive(Debug)]
pub struct Layout {
    /// Name of the type in C.
    pub name: &'static str,
    /// Bytes.
    pub size: usize,
    /// Name and offset of each field.
    pub fields: &'static [(&'static str, usize)],
    /// Offsets of the function pointers, none of which may be null.
    pub functions: &'static [usize],
}

/// Declares a table: data first, then functions. `size` is put in front.
macro_rules! table {
    (
        $(#[$meta:meta])*
        $name:ident = $c:literal {
            $( $(#[$field_meta:meta])* $field:ident: $ty:ty, )*
            ;
            $( $(#[$call_meta:meta])*
               fn $call:ident($($arg:ident: $arg_ty:ty),* $(,)?) $(-> $ret:ty)?; )*
        }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            /// Bytes of this table.
            pub size: usize,
            $( $(#[$field_meta])* pub $field: $ty, )*
            $( $(#[$call_meta])*
               pub $call: unsafe extern "C" fn($($arg: $arg_ty),*) $(-> $ret)?, )*
        }

        // SAFETY: the layout is taken from the type itself, and `size` stands first.
        unsafe impl $crate::table::Table for $name {
            const LAYOUT: &'static $crate::table::Layout = &$crate::table::Layout {
                name: $c,
                size: size_of::<$name>(),
                fields: &[
                    ("size", core::mem::offset_of!($name, size)),
                    $( (stringify!($field), core::mem::offset_of!($name, $field)), )*
                    $( (stringify!($call), core::mem::offset_of!($name, $call)), )*
                ],
                functions: &[$( core::mem::offset_of!($name, $call), )*],
            };
        }

        // SAFETY: plain data; what its pointers lead to may be used from any thread as far as the
        // documentation of its calls allows.
        unsafe impl Send for $name {}
        // SAFETY: as above.
        unsafe impl Sync for $name {}
    };
}
pub(crate) use table;
