"""Records of earlier versions, which are not compressed yet."""
