"""The MIME types of what the course writes into a cell's output for machines, beside the text for readers."""

CLAIM_MIME = "application/vnd.vaelib.claim+json"
FIGURE_MIME = "application/vnd.vaelib.figure+json"
DATA_MIME = "application/vnd.vaelib.data+json"
LAB_MIME = "application/vnd.vaelib.lab+json"
