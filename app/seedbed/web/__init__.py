"""HTTP only: no arithmetic on weights. `application.create_app` composes it."""
