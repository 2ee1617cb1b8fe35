"""The Pusher: makes a blessed model the version in production."""
