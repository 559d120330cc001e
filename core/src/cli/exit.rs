//! Exit codes: those of sysexits(3), and two of our own.

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// The command line cannot be used.
    Usage = 64,
    /// What was given as input cannot be used.
    Data = 65,
    /// The input, here or on the server, does not exist or cannot be read.
    NoInput = 66,
    /// The host name cannot be resolved.
    NoHost = 68,
    /// The service is not there, went away, or said no for good.
    Unavailable = 69,
    /// The output, here or on the server, cannot be created.
    CantCreate = 73,
    /// Reading or writing went wrong on the way.
    IoError = 74,
    /// The same may work later.
    TempFail = 75,
    /// TLS or the protocol: nothing that was said can be relied on.
    Protocol = 76,
    /// The login was refused, or there was none.
    NoPermission = 77,
    /// Our own TLS files cannot be used.
    Config = 78,
    /// Done for some recipients, or files.
    Partial = 79,
    /// Perhaps done.
    Unknown = 80,
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

/// The end of `--help`.
pub(crate) const HELP: &str = "\
URLs:
  smtp://[USER@]HOST[:587]     STARTTLS, required      smtps://…[:465]   TLS from the first byte
  lmtp://[USER@]HOST[:24]      the same, a verdict for each recipient
  ftp://[USER@]HOST[:21]/PATH  AUTH TLS, required      ftps://…[:990]    TLS from the first byte
  ?tls=none at the end is the only way to clear text; no password is sent then.

Password, from the first of these that has one:
  the URL, --password-file, the variable STARTTLS_PASSWORD, --netrc.
  fxp: the target's are in its URL, --target-password-file, STARTTLS_TARGET_PASSWORD, --netrc.
  A URL on a command line can be seen by other users of this machine: the other ways cannot.

Exit codes:
   0  done
  64  the command line cannot be used
  65  the input cannot be used
  66  no such input, or it cannot be read: a local file, or a remote one
  68  the host name cannot be resolved
  69  nobody listens, the connection was lost, or the server refused for good, or offers no such thing
  73  the output cannot be created, here or on the server
  74  reading or writing failed on the way, such as a full disk
  75  time-out, or the server said \"not now\": the same may work later
  76  TLS or protocol: certificate not trusted, TLS not offered, injected bytes, nonsense
  77  the login was refused or is missing, or the host's policy forbids the connection
  78  a certificate or key file of ours cannot be used
  79  send: accepted for some recipients, refused for others; mirror, rm -r: done but for some files
  80  send: the connection was lost before the server's verdict: the message may have been accepted";
