"""What runs until `make deploy` has shipped the function: every request is to come again."""

import functions_framework


@functions_framework.http
def placeholder(_request):
    """Answer 503, which Pub/Sub and every SDK take as: try again."""
    return {"error": {"message": "This function is not deployed yet: run make deploy.", "type": "server_error"}}, 503
