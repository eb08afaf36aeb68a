//! Koji's XML-RPC fault codes, as far as this project raises or reads them
//! (source: `faultCode` attributes in koji/__init__.py; 2001 and 2002 from koji-containerbuild).

/// A fault code of Koji or of the container-build plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
#[allow(missing_docs)] // the names are Koji's own exception names
pub enum FaultCode {
    Unknown = 1,
    GenericError = 1000,
    LockError = 1001,
    AuthError = 1002,
    TagError = 1003,
    ActionNotAllowed = 1004,
    BuildError = 1005,
    AuthLockError = 1006,
    AuthExpired = 1007,
    SequenceError = 1008,
    RetryError = 1009,
    PreBuildError = 1010,
    PostBuildError = 1011,
    BuildrootError = 1012,
    FunctionDeprecated = 1013,
    ServerOffline = 1014,
    PluginError = 1016,
    CallbackError = 1017,
    ParameterError = 1019,
    ImportError = 1020,
    ConfigurationError = 1021,
    GssapiAuthError = 1023,
    NameValidationError = 1024,
    ContainerError = 2001,
    ContainerCancelled = 2002,
}

impl FaultCode {
    const ALL: [FaultCode; 25] = {
        use FaultCode::*;
        [
            Unknown,
            GenericError,
            LockError,
            AuthError,
            TagError,
            ActionNotAllowed,
            BuildError,
            AuthLockError,
            AuthExpired,
            SequenceError,
            RetryError,
            PreBuildError,
            PostBuildError,
            BuildrootError,
            FunctionDeprecated,
            ServerOffline,
            PluginError,
            CallbackError,
            ParameterError,
            ImportError,
            ConfigurationError,
            GssapiAuthError,
            NameValidationError,
            ContainerError,
            ContainerCancelled,
        ]
    };

    /// The number on the wire.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The fault for a number, `None` for numbers Koji does not define.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|f| i64::from(f.code()) == code)
    }
}
