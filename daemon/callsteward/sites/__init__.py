"""Several PBXs with one store: what each site's daemon must know of the others."""
