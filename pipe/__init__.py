"""Page the people on call when a Bitbucket pipeline breaks, and let them sleep again when it mends."""

VERSION = "0.1.0"
