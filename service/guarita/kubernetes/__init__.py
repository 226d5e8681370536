"""What Guarita does in a cluster of Kubernetes from within a pod: its Secret, and its pods' labels.

Knows neither servers nor the store.
"""
