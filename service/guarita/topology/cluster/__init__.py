"""Makes one Cluster of servers that run, and puts it together again: `guarita cluster form`."""

from guarita.topology.cluster.form import form
from guarita.topology.cluster.view import Member, members_of

__all__ = ["Member", "form", "members_of"]
