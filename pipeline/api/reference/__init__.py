"""The pages for people: the start page and the reference, with samples, codes and the limits of the platforms."""
