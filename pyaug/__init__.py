"""pyaug finds the augmentation policy that suits a data set, and applies any policy in one call."""
