"""EventBridge: to which targets it may deliver."""
